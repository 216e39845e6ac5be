import type { LogId } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";
import { DaybookError, type JsonShape, LIMITS, parseJson, RawJson } from "@daybook/protocol";
import { type Authenticator, isExpired } from "../auth/authenticator.js";
import { asDaybookError } from "../http/send-error.js";
import type { Metrics } from "../metrics.js";
import { appendAnswer } from "../service/append-answer.js";
import { type Caller, requireScope, requireSession } from "../service/caller.js";
import { eventArray, eventPrefix } from "../service/event-frame.js";
import { type AppendLimits, readAppend } from "../service/read-append.js";
import type { SessionService } from "../service/session-service.js";
import { Tail } from "../service/tail.js";
import { type Channel, failed, OK, type Reply, type Subscriber } from "./phoenix-socket.js";

export interface TailChannelOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  readonly limits: AppendLimits;
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
  const caller =
    token === undefined
      ? options.authenticator.stillGood(subscriber.caller)
      : await options.authenticator.authenticate(token);
  requireScope(caller, "session:read");
  requireSession(caller, sessionId);
  const id = options.service.logId(caller, sessionId);
  // Refuses a session that is not there before anything is opened.
  const lastSeq = options.service.lastSeq(id);
  return new TailChannel(options, { id, caller, subscriber, cursor, batchSize, lastSeq });
}

function readJoin(payload: string): { cursor: number; batchSize: number; token: string | undefined } {
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
  if (token !== undefined && typeof token !== "string")
    throw new DaybookError("unauthorized", "token must be a string.");
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
  private caller: Caller;
  private unwatch: () => void;
  private started = false;

  constructor(
    private readonly options: TailChannelOptions,
    private readonly subscription: TailSubscription,
  ) {
    const { id, subscriber, cursor, lastSeq } = subscription;
    this.caller = subscription.caller;
    this.tail = new Tail(
      options.service.engine,
      id,
      Math.min(cursor, lastSeq),
      {
        send: (events) => this.send(events),
        end: ({ code }) => (code === "session_not_found" ? subscriber.close() : subscriber.fail()),
      },
      {
        count: (events, live) => options.metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events),
      },
    );
    this.unwatch = this.watchToken();
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
    this.unwatch();
    this.options.metrics.openTails.dec({ kind: "channel" });
  }

  async handle(event: string, payload: string): Promise<Reply> {
    try {
      const body = parseJson(payload, PUSH, DEPTH) as Record<string, unknown>;
      if (event === "token") return await this.refreshToken(body.token);
      if (event === "append") return { status: "ok", response: await this.append(body) };
      return failed("unmatched event");
    } catch (error) {
      const refusal = asDaybookError(error);
      return {
        status: "error",
        response: JSON.stringify({ reason: reasonOf(refusal), ...refusal.toBody() }),
      };
    }
  }

  private async append({
    event,
    events,
    expected_seq: expectedSeq,
  }: Record<string, unknown>): Promise<string> {
    const { service, limits } = this.options;
    requireScope(this.caller, "session:append");
    const command = readAppend(bodyOf(event, events, expectedSeq), this.caller, limits);
    const result = await service.append(this.subscription.id, command);
    return appendAnswer(command, result, service.durableSeq(this.subscription.id));
  }

  private async refreshToken(token: unknown): Promise<Reply> {
    const { authenticator } = this.options;
    const caller = await authenticator.authenticate(typeof token === "string" ? token : undefined);
    requireScope(caller, "session:read");
    requireSession(caller, this.subscription.id.id);
    if (caller.principal.tenant !== this.subscription.id.tenant) return failed("forbidden");
    this.unwatch();
    this.caller = caller;
    this.unwatch = this.watchToken();
    return OK;
  }

  private watchToken(): () => void {
    const { subscriber } = this.subscription;
    return this.options.authenticator.onEnd(this.caller, (how) => {
      this.tail.stop();
      if (how === "token_invalid") {
        subscriber.fail();
        return;
      }
      // Exactly this push makes clients fetch a new token.
      subscriber.push("token_expired", TOKEN_EXPIRED);
      subscriber.close();
    });
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
const TOKEN_EXPIRED = Buffer.from('{"reason":"token_expired"}');

function bodyOf(event: unknown, events: unknown, expectedSeq: unknown): Buffer {
  if (event instanceof RawJson) return Buffer.from(event.text);
  if (!(events instanceof RawJson))
    throw new DaybookError("invalid_event", "Push append with event, or with events.");
  const expected = expectedSeq instanceof RawJson ? `,"expected_seq":${expectedSeq.text}` : "";
  return Buffer.from(`{"events":${events.text}${expected}}`);
}

/** A join's reason: the error's code, but an expired token has a word of its own. */
export function reasonOf(error: DaybookError): string {
  return isExpired(error) ? "token_expired" : error.code;
}
