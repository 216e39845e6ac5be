import type { Decision, Entry, Facts, Head, LogId, Needs, OtherEntries } from "@daybook/core";
import { DaybookError } from "@daybook/protocol";
import type {
  Engine,
  LifecyclePage,
  LifecycleQuery,
  ListPage,
  ListQuery,
  MessageQuery,
  Now,
  Page,
  ReadLimits,
  Session,
  StateEntry,
  StatePage,
  StateQuery,
  StoredEvent,
} from "@daybook/engine";
import type { Stand, Views } from "@daybook/views";
import { Eraser } from "./eraser.js";
import { LoadedFacts } from "./fact-loader.js";
import { LifecycleReader } from "./lifecycle-reader.js";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import type { EngineEvents, EngineSettings } from "./settings.js";
import { MessageReader } from "./message-reader.js";
import { Reader } from "./reader.js";
import type { Segments } from "./segments.js";
import { StateReader } from "./state-reader.js";
import { ViewWriter } from "./view-writer.js";
import { type LogEntries, LogWriter } from "./log-writer.js";

/** What an opened folder consists of. */
export interface Store {
  readonly segments: Segments;
  readonly views: Views;
  readonly table: LogTable;
  readonly durable: boolean;
  /** Releases the folder; called last. */
  readonly release: () => void;
}

type Decide<Answer> = (head: Head | undefined, facts: Facts, now: Now) => Decision<Answer>;

/** One process, one data folder: segment files for the log, LMDB for the views of it. */
export class EmbeddedEngine implements Engine {
  readonly features: { readonly durable: boolean };
  private readonly viewWriter: ViewWriter;
  private readonly writer: LogWriter;
  private readonly reader: Reader;
  private readonly lifecycleReader: LifecycleReader;
  private readonly stateReader: StateReader;
  private readonly messageReader: MessageReader;
  private readonly eraser: Eraser;
  private closing: Promise<void> | undefined;
  private stopped = false;

  constructor(
    private readonly store: Store,
    stand: Stand,
    settings: EngineSettings,
    outside: EngineEvents,
  ) {
    this.features = { durable: store.durable };
    const { segments, views, table } = store;
    const events = { ...outside, fatal: (error: Error) => this.stop(error, outside) };
    this.viewWriter = new ViewWriter(views, table, settings, events, stand);
    this.lifecycleReader = new LifecycleReader(segments, views, table, this.viewWriter);
    this.reader = new Reader(segments, views, table, events);
    this.stateReader = new StateReader(views, table, this.viewWriter, this.reader);
    this.messageReader = new MessageReader(table, this.reader);
    this.eraser = new Eraser({
      segments,
      views,
      table,
      viewWriter: this.viewWriter,
      reader: this.reader,
      events,
    });
    this.writer = new LogWriter(segments, table, this.viewWriter, this.eraser, {
      stand,
      lifecycle: this.lifecycleReader,
      settings,
      events,
    });
    this.eraser.resume();
  }

  transact<Answer>(id: LogId, needs: Needs, decide: Decide<Answer>): Promise<Answer> {
    // A refusal must be a rejection, also when it is known at once.
    try {
      const facts = new LoadedFacts(this.store.table, this.reader, this.writer, needs);
      return this.attempt(id, facts, decide);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  read(id: LogId, afterSeq: number, limits: ReadLimits): Page | Promise<Page> {
    this.refuseIfClosing();
    return this.reader.read(id, afterSeq, limits);
  }

  head(id: LogId): Head | undefined {
    this.refuseIfClosing();
    return this.store.table.find(id)?.durableHead;
  }

  watch(id: LogId, moved: () => void): () => void {
    this.refuseIfClosing();
    return this.store.table.watch(id, moved);
  }

  async session(id: LogId): Promise<Session | undefined> {
    this.refuseIfClosing();
    return this.reader.session(id);
  }

  async state(id: LogId, query: StateQuery): Promise<StatePage> {
    this.refuseIfClosing();
    return this.stateReader.page(id, query);
  }

  async stateKey(
    id: LogId,
    key: string,
    at: { atSeq?: number; version?: number },
  ): Promise<StateEntry | undefined> {
    this.refuseIfClosing();
    return this.stateReader.key(id, key, at);
  }

  async stateHistory(
    id: LogId,
    key: string,
    page: { after: number; limit: number },
  ): Promise<readonly StateEntry[]> {
    this.refuseIfClosing();
    return this.stateReader.history(id, key, page);
  }

  async commitsOf(
    id: LogId,
    owner: string,
    range: { after: number; through: number },
    limits: ReadLimits,
  ): Promise<readonly StoredEvent[]> {
    this.refuseIfClosing();
    return this.stateReader.commitsOf(id, owner, range, limits);
  }

  messages(id: LogId, query: MessageQuery): AsyncIterable<StoredEvent> {
    this.refuseIfClosing();
    return this.messageReader.messages(id, query);
  }

  async lifecycle(tenant: string, query: LifecycleQuery): Promise<LifecyclePage> {
    this.refuseIfClosing();
    return this.lifecycleReader.read(tenant, query);
  }

  watchLifecycle(tenant: string, moved: () => void): () => void {
    return this.lifecycleReader.watch(tenant, moved);
  }

  async list(query: ListQuery): Promise<ListPage> {
    this.refuseIfClosing();
    await this.viewWriter.caughtUp();
    // The views may have been closed meanwhile.
    this.refuseIfClosing();
    return this.reader.list(query);
  }

  /** Bytes of log that the views do not stand past. */
  get viewLagBytes(): number {
    return this.viewWriter.lagBytes;
  }

  /** Bytes decided and not yet durable. */
  get queueBytes(): number {
    return this.writer.queuedBytes;
  }

  /** Logs in memory. */
  get openLogs(): number {
    return this.store.table.size;
  }

  /** Deleted logs whose bytes are still being erased. */
  get erasuresPending(): number {
    return this.eraser.pending;
  }

  /**
   * Ends what an earlier process left half erased, before anybody is served: from the start after a deletion on, no
   * text of it is left in the folder, also when a crash came between.
   */
  async finishErasures(): Promise<void> {
    if (this.eraser.pending === 0) return;
    await this.eraser.finished();
    await this.store.views.compact();
  }

  /** Everything that was asked for is in the log; the views catch up as far as they must at the next start. */
  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    try {
      await this.writer.close();
      await this.eraser.close();
      await this.viewWriter.close();
      await this.store.segments.close();
    } finally {
      await this.store.views.close();
      this.store.release();
    }
  }

  /** Nothing is written any more, to the log or to the views: the next start recovers from what is on disk. */
  private stop(error: Error, outside: EngineEvents): void {
    if (this.stopped) return;
    this.stopped = true;
    this.writer.stop();
    this.viewWriter.stop();
    outside.fatal(error);
  }

  private refuseIfClosing(): void {
    if (this.closing === undefined) return;
    throw new DaybookError("shutting_down", "The server is shutting down. Try again in a moment.");
  }

  private attempt<Answer>(id: LogId, facts: LoadedFacts, decide: Decide<Answer>): Promise<Answer> {
    this.writer.refuseIfUnable();
    const log = this.store.table.find(id);
    const loading = facts.load(log);
    // What was loaded may have been overtaken meanwhile: look again.
    if (loading !== undefined) return loading.then(() => this.attempt(id, facts, decide));
    const now = this.writer.now();
    const decision = decide(log?.head, facts, now);
    switch (decision.kind) {
      case "commit":
        return this.writer.commit(this.changes(id, log, decision), now, decision.answer);
      case "answer":
        return this.writer.afterDurable(facts.logs(), () => decision.answer);
      case "reject":
        return this.writer.afterDurable(facts.logs(), () => {
          throw decision.error;
        });
    }
  }

  private changes(
    id: LogId,
    log: LiveLog | undefined,
    { entries, others = [] }: { entries: readonly Entry[]; others?: readonly OtherEntries[] },
  ): LogEntries[] {
    const { table } = this.store;
    const changes = [{ log: log ?? table.create(id), entries }];
    for (const other of others) {
      changes.push({ log: table.find(other.id) ?? table.create(other.id), entries: other.entries });
    }
    return changes;
  }
}
