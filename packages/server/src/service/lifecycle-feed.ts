import type { Engine, LifecycleItem } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import { asReadFailure } from "./tail.js";
import { sharedJson } from "./session-record.js";
import { type Caller, requireNoLock, requireScope } from "./caller.js";

/** Who may follow what happens to all sessions of a tenant. @throws DaybookError forbidden and its kin */
export function requireMayFollowLifecycle(caller: Caller): void {
  requireScope(caller, "session:read");
  requireNoLock(caller);
  if (caller.principal.type === "service") return;
  throw new DaybookError("forbidden", "Only a service may follow the lifecycle of all sessions.");
}

/** One item as the wire shows it. Of an erased session only what happened, and to which, is left. */
export function lifecycleJson(
  { kind, session, atMs, version, header, forkedFrom, fork }: LifecycleItem,
  cursor?: string,
): string {
  const at = new Date(atMs).toISOString();
  let text = `{"kind":"session.${kind}","session_id":${JSON.stringify(session.id)},"tenant_id":${JSON.stringify(session.tenant)}`;
  if (header !== undefined)
    text += `,"title":${JSON.stringify(header.title)},"metadata":${header.metadata},"version":${version}`;
  if (header !== undefined) text += kind === "created" ? `,"created_at":"${at}"` : `,"updated_at":"${at}"`;
  if (forkedFrom !== undefined) text += `,"forked_from":${sharedJson(forkedFrom)}`;
  if (fork !== undefined) text += `,"fork":${sharedJson(fork)}`;
  if (kind === "archived" || kind === "unarchived") text += `,"archived":${String(kind === "archived")}`;
  text += `,"occurred_at":"${at}"`;
  if (cursor !== undefined) text += `,"cursor":"${cursor}"`;
  return `${text}}`;
}

export const encodePlace = (place: string): string => Buffer.from(`lifecycle ${place}`).toString("base64url");

/** @throws DaybookError invalid_cursor */
export function decodePlace(cursor: string): string {
  const place = /^lifecycle (\d+\.\d+)$/.exec(Buffer.from(cursor, "base64url").toString("utf8"))?.[1];
  if (place !== undefined) return place;
  throw new DaybookError(
    "invalid_cursor",
    "cursor must be a next_cursor that the lifecycle feed answered with.",
  );
}

const PAGE = 100;

/**
 * Follows a tenant's feed from a place on: read; nothing there: wait for a hint; read again. `send` answers false when
 * the reader is slow; `resume` goes on.
 */
export class LifecycleTail {
  private running = false;
  private again = false;
  private paused = false;
  private stopped = false;
  private unwatch: () => void = () => undefined;

  constructor(
    private readonly engine: Engine,
    private readonly tenant: string,
    private place: string | undefined,
    private readonly sink: { send(items: readonly LifecycleItem[]): boolean; end(error: DaybookError): void },
  ) {}

  start(): void {
    this.unwatch = this.engine.watchLifecycle(this.tenant, () => this.wake());
    this.wake();
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  stop(): void {
    this.stopped = true;
    this.unwatch();
  }

  private wake(): void {
    this.again = true;
    if (this.running || this.paused || this.stopped) return;
    this.running = true;
    this.read()
      .catch((error: unknown) => {
        if (this.stopped) return;
        this.stop();
        this.sink.end(asReadFailure(error));
      })
      .finally(() => {
        this.running = false;
        // A hint that came after the last read and before this line.
        if (this.again) this.wake();
      });
  }

  /** Asked anew after every wait. */
  private isStopped(): boolean {
    return this.stopped;
  }

  private async read(): Promise<void> {
    while (this.again && !this.paused && !this.stopped) {
      this.again = false;
      const query = this.place === undefined ? { limit: PAGE } : { after: this.place, limit: PAGE };
      const { items } = await this.engine.lifecycle(this.tenant, query);
      const last = items.at(-1);
      if (last === undefined || this.isStopped()) continue;
      this.place = last.place;
      this.paused = !this.sink.send(items);
      this.again = true;
    }
  }
}
