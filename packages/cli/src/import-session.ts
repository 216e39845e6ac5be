import type { Context } from "./context.js";
import { onOneLine, openObject, writeObject } from "./event-text.js";
import { CommandFailure, messageOf, ServerRefusal } from "./failures.js";
import type { Input } from "./io.js";
import { batchBody, Outbox, type Outgoing } from "./outbox.js";
import { progressOn, showCount } from "./progress.js";
import { type NumberedLine, readLines } from "./read-lines.js";
import type { Patience, ServerClient } from "./server-client.js";
import { getRecord, sessionPath } from "./session-calls.js";

/** The format's version, in the first line of every export. */
const EXPORT_FORMAT = "1";

/** An event's limit can be set higher than its default; a line has to hold one with all around it. */
const LINE_BYTES_MAX = 72 * 1024 * 1024;

const PATIENCE_MS = 120_000;

interface ExportedSession {
  readonly id: string;
  readonly lastSeq: number;
  /** The record's JSON, with the id it shall have here. */
  readonly record: string;
}

/**
 * Sends an export to the server: the record, then the events in batches. Each step can be sent twice: the server passes
 * over what it has.
 */
export async function importSession(
  context: Context,
  client: ServerClient,
  job: { readonly input: Input; readonly newId: string | undefined },
): Promise<{ id: string; events: number }> {
  const lines = readLines(job.input, { bytesMax: LINE_BYTES_MAX, strictUtf8: true });
  const first = await lines.next();
  if (first.done === true)
    throw new CommandFailure("the input is empty: it must be what `daybook export` wrote");
  const session = readHeader(first.value, job.newId);
  const importer = new Importer(context, client, session);
  await importer.createSession();
  const events = await importer.sendEvents(lines);
  if (events < session.lastSeq) {
    throw new CommandFailure(
      `the input ends after event ${events} of ${session.lastSeq}: it is not whole. Run it again with all of it`,
    );
  }
  return { id: session.id, events };
}

function readHeader(line: NumberedLine, newId: string | undefined): ExportedSession {
  try {
    const header = openObject(line.text);
    const format = header.get("daybook_export");
    if (format === undefined) throw new Error("is not the beginning of what `daybook export` wrote");
    if (format !== EXPORT_FORMAT)
      throw new Error(`is of export format ${format}; this version reads ${EXPORT_FORMAT}`);
    const record = openObject(header.get("session") ?? "null");
    if (newId !== undefined) record.set("id", JSON.stringify(newId));
    const id: unknown = JSON.parse(record.get("id") ?? "null");
    const lastSeq: unknown = JSON.parse(record.get("last_seq") ?? "null");
    if (typeof id !== "string" || typeof lastSeq !== "number") throw new Error("has no session record");
    return { id, lastSeq, record: writeObject(record) };
  } catch (error) {
    throw new CommandFailure(`line ${line.number} ${messageOf(error)}`);
  }
}

class Importer {
  private readonly path: string;
  private readonly patience: Patience;
  private readonly progress;
  private sent = 0;

  constructor(
    context: Context,
    private readonly client: ServerClient,
    private readonly session: ExportedSession,
  ) {
    this.path = `${sessionPath(session.id)}/import`;
    this.progress = progressOn(context.io);
    this.patience = {
      patienceMs: PATIENCE_MS,
      onTrouble: (why) => {
        this.progress.clear();
        context.say(`${why}; trying again for ${PATIENCE_MS / 1000} s`);
      },
    };
  }

  async createSession(): Promise<void> {
    try {
      await this.post(`{"session":${this.session.record}}`);
    } catch (error) {
      if (!(error instanceof ServerRefusal) || error.code !== "session_exists") throw error;
      await this.checkIsTheSame(error);
    }
  }

  /** @returns how many lines there were. */
  async sendEvents(lines: AsyncIterable<NumberedLine>): Promise<number> {
    const outbox = new Outbox<Outgoing>((batch) => this.send(batch));
    let count = 0;
    try {
      for await (const line of lines) {
        if (line.text.trim() === "") continue;
        outbox.add({ text: onOneLine(line.text) });
        count++;
        await outbox.room();
        if (outbox.hasFailed) break;
      }
      await outbox.flushed();
    } finally {
      this.progress.clear();
    }
    return count;
  }

  private async send(batch: readonly Outgoing[]): Promise<void> {
    await this.post(batchBody(batch));
    this.sent += batch.length;
    this.progress.show(`${showCount(this.sent)} of ${showCount(this.session.lastSeq)} events`);
  }

  private async post(body: string): Promise<void> {
    await this.client.call({ method: "POST", path: this.path, body, repeatable: true }, this.patience);
  }

  /** An import begun before may go on; into anything else the events do not belong. */
  private async checkIsTheSame(refusal: ServerRefusal): Promise<void> {
    const there = openObject(await getRecord(this.client, this.session.id));
    const ours = openObject(this.session.record);
    if (there.get("created_at") === ours.get("created_at")) return;
    throw new CommandFailure(
      `${refusal.message} It is another one; choose an id with --id`,
      refusal.exitCode,
    );
  }
}
