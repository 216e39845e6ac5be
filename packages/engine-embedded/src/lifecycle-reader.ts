import { decodeHeaderEntry } from "@daybook/core";
import type { LifecycleItem, LifecyclePage, LifecycleQuery } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import {
  decodeLifecycleNote,
  type Key,
  type LifecycleKind,
  type LifecycleNote,
  type Views,
} from "@daybook/views";
import type { LogTable } from "./log-table.js";
import type { ReadFrame } from "./frame-reads.js";
import type { Segments } from "./segments.js";
import type { ViewWriter } from "./view-writer.js";

/** Reads a tenant's lifecycle feed: an index in the views, the contents in the log. */
export class LifecycleReader {
  private readonly watchers = new Map<string, Set<() => void>>();

  constructor(
    private readonly segments: Segments,
    private readonly views: Views,
    private readonly table: LogTable,
    private readonly viewWriter: ViewWriter,
  ) {}

  async read(tenant: string, { after, limit }: LifecycleQuery): Promise<LifecyclePage> {
    const start = after === undefined ? undefined : placeKey(tenant, after);
    await this.viewWriter.caughtUp();
    const notes: (LifecycleNote & { log: number })[] = [];
    for (const { key, value } of this.views.within(
      ["y", tenant],
      start === undefined ? {} : { after: start },
    )) {
      notes.push(decodeLifecycleNote(key, value as never));
      if (notes.length === limit) break;
    }
    const items = await Promise.all(notes.map((note) => this.item(note)));
    return { items, end: this.end(tenant) };
  }

  watch(tenant: string, moved: () => void): () => void {
    const watchers = this.watchers.get(tenant) ?? new Set();
    this.watchers.set(tenant, watchers.add(moved));
    return () => {
      watchers.delete(moved);
      if (watchers.size === 0) this.watchers.delete(tenant);
    };
  }

  moved(tenant: string): void {
    for (const moved of this.watchers.get(tenant) ?? []) moved();
  }

  private async item(note: LifecycleNote & { readonly log: number }): Promise<LifecycleItem> {
    const { kind, atMs, version, log, position } = note;
    const record = this.views.record(log);
    if (record === undefined) throw new Error("broken invariant: a lifecycle note of no log");
    const place = `${position.segment}.${position.offset}`;
    const item = { kind, session: record.id, atMs, version, place };
    const erased = (this.table.resident(log)?.durableHead ?? record.head).status === "deleted";
    if (erased || !WITH_CONTENT.has(kind)) return item;
    const [frame] = await this.segments.readFrames([position]);
    return { ...item, ...contentOf(frame) };
  }

  private end(tenant: string): string {
    for (const { key } of this.views.within(["y", tenant], { reverse: true })) {
      return `${String(key[2])}.${String(key[3])}`;
    }
    return "0.0";
  }
}

const WITH_CONTENT: ReadonlySet<LifecycleKind> = new Set<LifecycleKind>(["created", "updated", "forked"]);

/** Nothing when it was erased a moment ago: then it is blank already. */
function contentOf(frame: ReadFrame | undefined): Pick<LifecycleItem, "header" | "forkedFrom" | "fork"> {
  const kind = frame?.header.kind;
  if (frame?.payload === undefined || kind === undefined || kind === "events" || kind === "unarchive")
    return {};
  const entry = decodeHeaderEntry(kind, frame.payload.toString("utf8"));
  switch (entry.kind) {
    case "create":
      return { header: entry.header, ...(entry.forkedFrom && { forkedFrom: entry.forkedFrom }) };
    case "patch":
      return { header: entry.header };
    case "fork":
      return { fork: { id: entry.fork, seq: entry.seq } };
    case "archive":
    case "close":
    case "reopen":
    case "erase":
    case "unfork":
      return {};
  }
}

function placeKey(tenant: string, place: string): Key {
  const [, segment, offset] = /^(\d{1,10})\.(\d{1,15})$/.exec(place) ?? [];
  if (segment === undefined || offset === undefined) {
    throw new DaybookError(
      "invalid_cursor",
      "cursor must be a next_cursor that the lifecycle feed answered with.",
    );
  }
  return ["y", tenant, Number(segment), Number(offset)];
}
