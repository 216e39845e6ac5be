import { type AppendResult, resultsOf } from "./append-answer.js";
import { backoffMs } from "./backoff.js";
import type { Environment } from "./environment.js";
import { asDaybookError, DaybookError, inDoubt } from "./errors.js";
import {
  EMPTY,
  type OutboxEffect,
  type OutboxEvent,
  type OutboxState,
  stepOutbox,
} from "./outbox-machine.js";
import { OutboxKeeper } from "./outbox-keeper.js";
import { batchBody, type OutgoingEvent, type OutgoingGroup, OutboxQueue } from "./outbox-queue.js";
import type { SafeStore } from "./safe-store.js";
import type { TokenKeeper } from "./token-keeper.js";
import type { SessionEvent } from "./wire.js";

/** What happens to appends. `events` are as they were given. */
export interface AppendProgress {
  /**
   * - `queued`: it waits to be sent
   * - `retrying`: a try failed, and there will be another (`error`)
   * - `acknowledged`: it is committed (`results`)
   * - `refused`: it will not be taken as it is (`error`)
   * - `discarded`: it was given up
   */
  readonly kind: "queued" | "retrying" | "acknowledged" | "refused" | "discarded";
  /** Names the append, from `queued` to its end. */
  readonly key: string;
  readonly events: readonly OutgoingEvent[];
  readonly results?: readonly AppendResult[];
  readonly error?: DaybookError;
}

export interface OutboxStatus {
  /**
   * - `empty`: everything is acknowledged
   * - `sending`: on the way
   * - `retrying`: the last try failed (`error`), and there will be another
   * - `paused`: an append was refused, or there is no token (`error`): `resume()` or `discard()`
   * - `closed`
   */
  readonly state: "empty" | "sending" | "retrying" | "paused" | "closed";
  /** Appends that are not acknowledged. */
  readonly pending: number;
  readonly error?: DaybookError;
}

export interface OutboxOptions {
  readonly environment: Environment;
  readonly tokens: TokenKeeper;
  /** Appends a list. @throws DaybookError */
  readonly send: (body: string, token: string | undefined, signal: AbortSignal) => Promise<unknown>;
  readonly progress: (progress: AppendProgress) => void;
  /** Nothing goes on by itself. */
  readonly paused: (error: DaybookError) => void;
  readonly changed: () => void;
  /** Where appends wait that should outlive this, and under which names. */
  readonly kept?: { readonly store: SafeStore; readonly prefix: string };
}

interface Waiting {
  readonly resolve: (results: readonly AppendResult[]) => void;
  readonly reject: (error: DaybookError) => void;
}

/** Events that may wait. More would only be lost all the later. */
const PENDING_EVENTS_MAX = 10_000;

/** Sends appends in order, one batch in flight at a time: what is added meanwhile goes together with the next one. */
export class Outbox {
  private state: OutboxState = EMPTY;
  private readonly queue: OutboxQueue;
  private readonly keeper: OutboxKeeper | undefined;
  /** What was left behind by others is in the queue, before everything new. */
  private isReady: boolean;
  private readonly waiting = new Map<string, Waiting>();
  private flight: AbortController | undefined;
  private sentWith: string | undefined;
  /**
   * Appends, by key, of which a try may have got through without an answer, or one of somebody before. What is refused now
   * may still be taken.
   */
  private readonly doubted = new Set<string>();
  private stopTimer: () => void = () => undefined;
  private readonly stopWaking: () => void;
  private idle: (() => void)[] = [];

  constructor(private readonly options: OutboxOptions) {
    const { environment, kept } = options;
    this.queue = new OutboxQueue(environment.newId());
    this.keeper =
      kept && new OutboxKeeper({ ...kept, environment, adopt: (groups) => this.adopt(groups, "last") });
    this.isReady = this.keeper === undefined;
    void this.keeper?.open().then((groups) => this.begin(groups));
    this.stopWaking = environment.onWake(() => {
      this.step({ kind: "wake" });
      if (this.isReady) void this.keeper?.lookAgain();
    });
  }

  get status(): OutboxStatus {
    const { reason } = this.state;
    return {
      state: this.stateNow(),
      pending: this.queue.all.length,
      ...(reason !== undefined && { error: reason }),
    };
  }

  get pending(): readonly OutgoingGroup[] {
    return this.queue.all;
  }

  /** @throws DaybookError what the server refused it for; `outbox_paused`, `outbox_full`, `closed`, `discarded` */
  append(events: readonly OutgoingEvent[], expectedSeq?: number): Promise<readonly AppendResult[]> {
    const refusal = this.refusal(events.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    const key = this.options.environment.newId();
    const group = this.queue.add(key, events, expectedSeq);
    // Before it is ready this would stand in the store before what is older.
    if (this.isReady) void this.keeper?.keep(group);
    const answered = new Promise<readonly AppendResult[]>((resolve, reject) =>
      this.waiting.set(key, { resolve, reject }),
    );
    this.queued(group);
    return answered;
  }

  /** Events of the tail: one of ours among them is committed, whatever became of the answer. */
  seen(events: readonly SessionEvent[]): void {
    if (this.queue.isEmpty) return;
    let isAny = false;
    for (const event of events) {
      const group = this.queue.take(event.producer_id, event.producer_seq);
      if (group === undefined) continue;
      isAny = true;
      const first = event.seq - (event.producer_seq - group.producerSeq);
      this.settle(
        group,
        group.events.map((_, index) => ({ seq: first + index, deduped: false })),
      );
    }
    // The rest of a batch in flight is about to be answered, or else to be tried again.
    if (isAny && !this.queue.isInFlight) this.next();
  }

  /** Goes on after a refusal, with the refused append first. */
  resume(): void {
    this.step({ kind: "resume", isEmpty: this.queue.isEmpty });
  }

  /** Gives up the append that was refused, or all that wait, and goes on. */
  discard(which: "refused" | "all" = "refused"): void {
    if (this.state.kind !== "paused") return;
    do this.drop(new DaybookError("discarded", "The append was discarded."), "discarded");
    while (which === "all" && !this.queue.isEmpty);
    this.next();
  }

  /** Resolves when nothing waits any more, or nothing will go on by itself. */
  async flushed(): Promise<void> {
    while (this.isBusy()) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  /** What waits stays in the store, for whoever comes next. */
  close(): void {
    this.stopWaking();
    this.step({ kind: "close" });
    this.keeper?.close();
    for (const [key, { reject }] of this.waiting)
      reject(closedError(this.keeper !== undefined || this.doubted.has(key)));
    this.waiting.clear();
  }

  /** Asked anew after every wait. */
  private isBusy(): boolean {
    const { kind } = this.state;
    return !this.isReady || !["empty", "paused", "closed"].includes(kind);
  }

  private stateNow(): OutboxStatus["state"] {
    const { kind, reason } = this.state;
    switch (kind) {
      case "waiting":
      case "refreshing":
        return "retrying";
      case "sending":
        return reason === undefined ? "sending" : "retrying";
      case "empty":
        // What was left behind by others is still being looked for.
        return this.queue.isEmpty ? "empty" : "sending";
      case "paused":
      case "closed":
        return kind;
    }
  }

  /** Why nothing can be appended now. */
  private refusal(more: number): DaybookError | undefined {
    const { kind, reason } = this.state;
    if (kind === "closed") return closedError(false);
    if (kind === "paused") {
      const why = `An earlier append was refused (${reason?.code ?? ""}): call resume() or discard() first.`;
      return new DaybookError("outbox_paused", why, { cause: reason });
    }
    if (this.queue.eventsCount + more <= PENDING_EVENTS_MAX) return undefined;
    return new DaybookError(
      "outbox_full",
      `${this.queue.eventsCount} events wait to be sent: append more when some of them are acknowledged.`,
      { retryable: true },
    );
  }

  /** What others have left goes before what was appended while it was looked for. */
  private begin(left: readonly OutgoingGroup[]): void {
    for (const group of this.queue.all) void this.keeper?.keep(group);
    this.isReady = true;
    this.adopt(left, "first");
    if (!this.queue.isEmpty) this.step({ kind: "queued" });
    this.wakeIdle();
  }

  private adopt(groups: readonly OutgoingGroup[], where: "first" | "last"): void {
    if (groups.length === 0) return;
    this.doubt(groups);
    this.queue.adopt(groups, where);
    for (const { key, events } of groups) this.options.progress({ kind: "queued", key, events });
    this.step({ kind: "queued" });
  }

  private queued({ key, events }: OutgoingGroup): void {
    this.options.progress({ kind: "queued", key, events });
    if (this.isReady) this.step({ kind: "queued" });
    else this.options.changed();
  }

  private step(event: OutboxEvent): void {
    const { random } = this.options.environment;
    const { state, effects } = stepOutbox(this.state, event, (failures) => backoffMs(failures, random()));
    const hasPaused = state.kind === "paused" && this.state.kind !== "paused";
    this.state = state;
    for (const effect of effects) this.run(effect);
    // A refusal is for the one in front; a missing token is everybody's.
    if (hasPaused && state.reason !== undefined)
      this.refuse(event.kind === "refused" ? this.queue.all.slice(0, 1) : this.queue.all, state.reason);
    this.options.changed();
    this.wakeIdle();
  }

  private wakeIdle(): void {
    const { idle } = this;
    this.idle = [];
    for (const wake of idle) wake();
  }

  private next(): void {
    this.step({ kind: "next", isEmpty: this.queue.isEmpty });
  }

  private run(effect: OutboxEffect): void {
    switch (effect.kind) {
      case "send":
        void this.send();
        break;
      case "abort":
        if (this.flight !== undefined) this.doubt(this.queue.batch());
        this.flight?.abort();
        this.flight = undefined;
        break;
      case "refresh":
        this.options.tokens.refresh(this.sentWith).then(
          () => this.step({ kind: "token" }),
          (error: unknown) => this.step({ kind: "no_token", error: asDaybookError(error) }),
        );
        break;
      case "timer":
        this.stopTimer();
        this.stopTimer = this.options.environment.clock.after(effect.ms, () => this.step({ kind: "timer" }));
        break;
      case "stop_timer":
        this.stopTimer();
    }
  }

  private async send(): Promise<void> {
    const flight = new AbortController();
    this.flight = flight;
    // What is added in this same turn goes with the first batch.
    await Promise.resolve();
    if (this.flight !== flight) return;
    const batch = this.queue.batch();
    this.sentWith = this.options.tokens.current;
    const answer = await this.answerTo(batch, flight.signal);
    // Seen on the tail meanwhile, or closed: the answer does not matter any more.
    if (this.flight !== flight) return;
    this.flight = undefined;
    if (answer instanceof DaybookError) this.failed(batch, answer);
    else this.acknowledge(batch, answer);
  }

  private async answerTo(
    batch: readonly OutgoingGroup[],
    signal: AbortSignal,
  ): Promise<readonly AppendResult[] | DaybookError> {
    const count = batch.reduce((sum, { events }) => sum + events.length, 0);
    try {
      return resultsOf(await this.options.send(batchBody(batch), this.sentWith, signal), count);
    } catch (error) {
      return asDaybookError(error);
    }
  }

  private acknowledge(batch: readonly OutgoingGroup[], results: readonly AppendResult[]): void {
    const taken = this.queue.acknowledge();
    let at = 0;
    for (const group of batch) {
      const own = results.slice(at, (at += group.events.length));
      if (taken.has(group)) this.settle(group, own);
    }
    this.next();
  }

  private failed(batch: readonly OutgoingGroup[], error: DaybookError): void {
    if (error.mayHaveHappened) this.doubt(batch);
    if (error.retryable || error.isAuth) {
      for (const { key, events } of batch) this.options.progress({ kind: "retrying", key, events, error });
      this.step({ kind: "failed", error });
    } else if (this.queue.split()) this.next();
    else if (isUnmetCondition(error)) {
      // Expected by whoever set the condition, and nobody else's trouble.
      this.drop(error, "refused");
      this.next();
    } else this.step({ kind: "refused", error });
  }

  private doubt(groups: readonly OutgoingGroup[]): void {
    for (const { key } of groups) this.doubted.add(key);
  }

  /** They stay in the queue until they are resumed or discarded; whoever waits for them is told. */
  private refuse(groups: readonly OutgoingGroup[], error: DaybookError): void {
    for (const group of groups) this.reject(group, error, "refused");
    this.options.paused(error);
  }

  private reject({ key, events }: OutgoingGroup, why: DaybookError, kind: "refused" | "discarded"): void {
    const error = this.doubted.has(key) ? inDoubt(why) : why;
    this.options.progress({ kind, key, events, error });
    this.waiting.get(key)?.reject(error);
    this.waiting.delete(key);
  }

  private drop(error: DaybookError, kind: "refused" | "discarded"): void {
    const { front } = this.queue;
    if (front === undefined) return;
    // Those behind it first: should this be cut off in between, nothing is sent under a number that has a hole before it.
    const producerId = this.doubted.size > 0 ? this.options.environment.newId() : undefined;
    for (const renumbered of this.queue.drop(producerId)) void this.keeper?.keep(renumbered);
    this.keeper?.forget(front.key);
    this.reject(front, error, kind);
    this.doubted.delete(front.key);
  }

  private settle({ key, events }: OutgoingGroup, results: readonly AppendResult[]): void {
    this.keeper?.forget(key);
    this.doubted.delete(key);
    this.options.progress({ kind: "acknowledged", key, events, results });
    this.waiting.get(key)?.resolve(results);
    this.waiting.delete(key);
  }
}

function isUnmetCondition({ code }: DaybookError): boolean {
  return code === "expected_seq_conflict" || code === "state_conflict";
}

/** @param mayHaveHappened it was sent, or whoever comes next will send it */
function closedError(mayHaveHappened: boolean): DaybookError {
  const message = "The session was closed before the append was acknowledged.";
  return new DaybookError("closed", message, { mayHaveHappened });
}
