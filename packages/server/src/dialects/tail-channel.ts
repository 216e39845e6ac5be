import type { LogId } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";
import { DaybookError, type JsonShape, LIMITS, parseJson, RawJson } from "@daybook/protocol";
import type { Logger } from "pino";
import type { Authenticator } from "../auth/authenticator.js";
import type { Gate } from "../http/access.js";
import type { Metrics } from "../metrics.js";
import { appendAnswer } from "../service/append-answer.js";
import { type Caller, requireScope, requireSession } from "../service/caller.js";
import { eventArray, eventPrefix } from "../service/event-frame.js";
import { type AppendLimits, readAppend } from "../service/read-append.js";
import type { SessionService } from "../service/session-service.js";
import type { Tail } from "../service/tail.js";
import { logFailedRead } from "./log-failed-read.js";
import { type Channel, failed, type Reply, type Subscriber } from "./phoenix-socket.js";
import { refusedPush } from "./refused-push.js";
import { topicCaller, TopicToken } from "./topic-token.js";

export interface TailChannelOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
  readonly gate: Gate;
  readonly metrics: Metrics;
  readonly limits: AppendLimits;
  readonly logger: Logger;
}

const JOIN: JsonShape = { members: { cursor: "value", batch_size: "value", token: "value" } };
const PUSH: JsonShape = { members: { token: "value", event: "raw", events: "raw", expected_seq: "raw" } };
const DEPTH = { depthMax: LIMITS.jsonDepthMax + 4 };

/**
 * Joins `tail:SESSION_ID`. `live_only` is ignored on purpose: clients that send it still rely on the replay.
 * @throws DaybookError whose code is the join's reason
 */
export async function joinTail(
  options: TailChannelOptions,
  sessionId: string,
  payload: string,
  subscriber: Subscriber,
): Promise<Channel> {
  const { cursor, batchSize, token } = readJoin(payload);
  const caller = await topicCaller(options.authenticator, subscriber, token);
  options.gate.countPush(caller);
  requireScope(caller, "session:read");
  requireSession(caller, sessionId);
  const id = options.service.logId(caller, sessionId);
  // Refuses a session that is not there before anything is opened.
  const lastSeq = options.service.lastSeq(id);
  return new TailChannel(options, { id, caller, subscriber, cursor, batchSize, lastSeq });
}

function readJoin(payload: string): { cursor: number; batchSize: number; token: unknown } {
  const value = parseJson(payload, JOIN, DEPTH);
  const {
    cursor = 0,
    batch_size: batchSize = 1,
    token,
  } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  if (!isCount(cursor, 0, Number.MAX_SAFE_INTEGER)) {
    throw new DaybookError("invalid_cursor", "cursor must be an integer of at least 0.");
  }
  if (!isCount(batchSize, 1, LIMITS.tailBatchSizeMax)) {
    throw new DaybookError(
      "invalid_tail_batch_size",
      `batch_size must be an integer from 1 to ${LIMITS.tailBatchSizeMax}.`,
    );
  }
  return { cursor, batchSize, token };
}

function isCount(value: unknown, minimum: number, maximum: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
}

interface TailSubscription {
  readonly id: LogId;
  readonly caller: Caller;
  readonly subscriber: Subscriber;
  readonly cursor: number;
  readonly batchSize: number;
  readonly lastSeq: number;
}

class TailChannel implements Channel {
  private readonly tail: Tail;
  private readonly token: TopicToken;
  private started = false;
  /** Up to there it is replay: a reader cannot tell otherwise when it has caught up. */
  readonly joined: string;

  constructor(
    private readonly options: TailChannelOptions,
    private readonly subscription: TailSubscription,
  ) {
    const { id, subscriber, cursor, lastSeq } = subscription;
    this.joined = `{"last_seq":${lastSeq}}`;
    this.tail = options.service.tail(
      id,
      Math.min(cursor, lastSeq),
      {
        ready: () => subscriber.isReady(),
        send: (events) => this.send(events),
        end: (error) => {
          logFailedRead(options.logger, error);
          if (error.code === "session_not_found") subscriber.close();
          else subscriber.fail();
        },
      },
      {
        count: (events, live) => options.metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events),
      },
    );
    this.token = new TopicToken(options.authenticator, subscription.caller, subscriber, () =>
      this.tail.stop(),
    );
    options.metrics.openTails.inc({ kind: "channel" });
  }

  /** Called first when the join was answered. */
  resume(): void {
    if (this.started) {
      this.tail.resume();
      return;
    }
    this.started = true;
    this.pushGapIfAhead();
    this.tail.start();
  }

  stop(): void {
    this.tail.stop();
    this.token.stop();
    this.options.metrics.openTails.dec({ kind: "channel" });
  }

  async handle(event: string, payload: string): Promise<Reply> {
    try {
      const value = parseJson(payload, PUSH, DEPTH);
      const body = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
      if (event === "token")
        return await this.token.replace(body.token, (caller) => this.checkReader(caller));
      if (event === "append") {
        const response = await this.options.metrics.measureAppend(() => this.append(body));
        return { status: "ok", response };
      }
      return failed("unmatched event");
    } catch (error) {
      return refusedPush(error);
    }
  }

  private async append({
    event,
    events,
    expected_seq: expectedSeq,
  }: Record<string, unknown>): Promise<string> {
    const { service, limits, gate } = this.options;
    const { caller } = this.token;
    gate.countPush(caller);
    requireScope(caller, "session:append");
    const command = readAppend(bodyOf(event, events, expectedSeq), caller, limits);
    const result = await service.append(this.subscription.id, command);
    return appendAnswer(command, result, service.durableSeq(this.subscription.id));
  }

  private checkReader(caller: Caller): void {
    requireScope(caller, "session:read");
    requireSession(caller, this.subscription.id.id);
  }

  private send(events: readonly StoredEvent[]): boolean {
    const { subscriber, batchSize, id } = this.subscription;
    const prefix = eventPrefix(id.tenant);
    let ready = true;
    for (let at = 0; at < events.length; at += batchSize) {
      const list = eventArray(prefix, events.slice(at, at + batchSize));
      ready = subscriber.push("events", Buffer.concat([EVENTS, list, CLOSE]));
    }
    return ready;
  }

  /** A cursor ahead of the head points at nothing that was: the reader is told, and goes on from the head. */
  private pushGapIfAhead(): void {
    const { subscriber, cursor, lastSeq } = this.subscription;
    if (cursor <= lastSeq) return;
    const gap = {
      type: "gap",
      reason: "resume_invalidated",
      from_cursor: cursor,
      next_cursor: lastSeq,
      committed_cursor: lastSeq,
      earliest_available_cursor: Math.min(1, lastSeq),
    };
    subscriber.push("gap", Buffer.from(JSON.stringify(gap)));
  }
}

const EVENTS = Buffer.from('{"events":');
const CLOSE = Buffer.from("}");

function bodyOf(event: unknown, events: unknown, expectedSeq: unknown): Buffer {
  if ((event === undefined) === (events === undefined))
    throw new DaybookError("invalid_event", "Push append with event, or with events.");
  if (event instanceof RawJson) {
    // Passed over, it would append what was to be refused.
    if (expectedSeq !== undefined)
      throw new DaybookError(
        "invalid_event",
        "expected_seq belongs inside event; beside it only with events.",
      );
    return Buffer.from(event.text);
  }
  const list = events instanceof RawJson ? events.text : "null";
  const expected = expectedSeq instanceof RawJson ? `,"expected_seq":${expectedSeq.text}` : "";
  return Buffer.from(`{"events":${list}${expected}}`);
}
