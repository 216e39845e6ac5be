import type { LogId } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";
import { DaybookError, type JsonShape, LIMITS, parseJson } from "@daybook/protocol";
import type { Logger } from "pino";
import type { Authenticator } from "../auth/authenticator.js";
import type { Gate } from "../http/access.js";
import type { Metrics } from "../metrics.js";
import { type Caller, requireScope, requireSession } from "../service/caller.js";
import { conversationNotFound } from "../service/conversation-service.js";
import { hasTypeOfMessage, messagePush } from "../service/message-json.js";
import type { SessionService } from "../service/session-service.js";
import type { Tail } from "../service/tail.js";
import { logFailedRead } from "./log-failed-read.js";
import { type Channel, failed, type Reply, type Subscriber } from "./phoenix-socket.js";
import { refusedPush } from "./refused-push.js";
import { topicCaller, TopicToken } from "./topic-token.js";

export interface ConversationChannelOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
  readonly gate: Gate;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const SHAPE: JsonShape = { members: { from: "value", token: "value" } };
const DEPTH = { depthMax: LIMITS.jsonDepthMax + 4 };

/**
 * Joins `conversation:ID`: its messages from now on, or from a seq on. The conversation need not be there yet: the channel
 * goes live once it is.
 * @throws DaybookError whose code is the join's reason
 */
export async function joinConversation(
  options: ConversationChannelOptions,
  name: string,
  payload: string,
  subscriber: Subscriber,
): Promise<Channel> {
  const { from, token } = membersOf(payload);
  const caller = await topicCaller(options.authenticator, subscriber, token);
  options.gate.countPush(caller);
  checkReader(caller, name);
  const id = options.service.logId(caller, name);
  const head = options.service.engine.head(id);
  // Its id is never used again: there is nothing to wait for.
  if (head?.status === "deleted") throw conversationNotFound();
  const version = head?.lastSeq ?? 0;
  return new ConversationChannel(options, { id, caller, subscriber, version, from: readFrom(from, version) });
}

function membersOf(payload: string): { from?: unknown; token?: unknown } {
  const value = parseJson(payload, SHAPE, DEPTH);
  return typeof value === "object" && value !== null ? value : {};
}

/** The first seq that is wanted: if nothing is said, the next one. */
function readFrom(from: unknown, version: number): number {
  if (from === undefined) return version + 1;
  if (Number.isSafeInteger(from) && (from as number) >= 0) return Math.max(1, from as number);
  throw new DaybookError("invalid_cursor", "from must be an integer of at least 0.");
}

function checkReader(caller: Caller, name: string): void {
  requireScope(caller, "session:read");
  requireSession(caller, name);
}

interface Subscription {
  readonly id: LogId;
  readonly caller: Caller;
  readonly subscriber: Subscriber;
  /** The last seq at the join. */
  readonly version: number;
  readonly from: number;
}

class ConversationChannel implements Channel {
  readonly joined: string;
  private readonly tail: Tail;
  private readonly token: TopicToken;
  private isLive = false;
  private toldTombstone = false;
  /** Ends the wait for a conversation that is not there yet. */
  private unwatch: () => void = () => undefined;

  constructor(
    private readonly options: ConversationChannelOptions,
    private readonly subscription: Subscription,
  ) {
    const { caller, subscriber, version, from } = subscription;
    this.joined = `{"version":${version}}`;
    this.tail = options.service.tail(
      subscription.id,
      Math.min(from - 1, version),
      {
        ready: () => subscriber.isReady(),
        send: (events) => this.send(events),
        caughtUp: () => this.tellIfTombstoned(),
        end: (error) => this.end(error),
      },
      {
        wanted: hasTypeOfMessage,
        count: (events, live) => options.metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events),
      },
    );
    this.token = new TopicToken(options.authenticator, caller, subscriber, () => this.tail.stop());
    options.metrics.openTails.inc({ kind: "channel" });
  }

  /** Called first when the join was answered. */
  resume(): void {
    if (this.isLive) {
      this.tail.resume();
      return;
    }
    const { subscription, options } = this;
    const { engine } = options.service;
    this.unwatch();
    if (engine.head(subscription.id) === undefined) {
      this.unwatch = engine.watch(subscription.id, () => this.resume());
      return;
    }
    this.isLive = true;
    // A seq beyond the next one is of nothing that was: the reader is told, and goes on from the end.
    if (subscription.from > subscription.version + 1)
      this.pushGap(subscription.from, subscription.version + 1);
    this.tail.start();
  }

  stop(): void {
    this.unwatch();
    this.tail.stop();
    this.token.stop();
    this.options.metrics.openTails.dec({ kind: "channel" });
  }

  async handle(event: string, payload: string): Promise<Reply> {
    if (event !== "token") return failed("unmatched event");
    try {
      const { token } = membersOf(payload);
      return await this.token.replace(token, (caller) => checkReader(caller, this.subscription.id.id));
    } catch (error) {
      return refusedPush(error);
    }
  }

  private send(events: readonly StoredEvent[]): boolean {
    let ready = true;
    for (const event of events) {
      const push = messagePush(event);
      if (push === undefined) continue;
      ready = this.subscription.subscriber.push("message", push);
      // What comes after a tombstone was opened again, however quickly it was closed since.
      this.toldTombstone = false;
    }
    return ready;
  }

  /** After the last message before it, and again if it was opened and closed once more. */
  private tellIfTombstoned(): void {
    const head = this.options.service.engine.head(this.subscription.id);
    if (head?.status !== "closed") this.toldTombstone = false;
    else if (!this.toldTombstone && this.tail.cursor >= head.lastSeq) this.pushTombstone();
  }

  private pushTombstone(): void {
    this.toldTombstone = true;
    this.subscription.subscriber.push("tombstone", TOMBSTONE);
  }

  private pushGap(expected: number, actual: number): void {
    this.subscription.subscriber.push("gap", Buffer.from(JSON.stringify({ type: "gap", expected, actual })));
  }

  private end(error: DaybookError): void {
    const { options, subscription } = this;
    logFailedRead(options.logger, error);
    if (error.code === "session_not_found") {
      // Erased. There is no word for it here; nothing follows a tombstone either.
      if (!this.toldTombstone) this.pushTombstone();
      subscription.subscriber.close();
      return;
    }
    // The client joins again by itself, from where it then is: what it misses is said before.
    const next = this.tail.cursor + 1;
    this.pushGap(next, Math.max(next, options.service.durableSeq(subscription.id) + 1));
    subscription.subscriber.fail();
  }
}

const TOMBSTONE = Buffer.from('{"type":"tombstone"}');
