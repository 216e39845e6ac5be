import type { LogId } from "@daybook/core";
import { DaybookError, type JsonShape, LIMITS, parseJson } from "@daybook/protocol";
import type { LifecycleItem } from "@daybook/engine";
import type { Logger } from "pino";
import type { Authenticator } from "../auth/authenticator.js";
import type { Gate } from "../http/access.js";
import {
  decodePlace,
  encodePlace,
  lifecycleJson,
  lifecycleTail,
  requireMayFollowLifecycle,
} from "../service/lifecycle-feed.js";
import type { SessionService } from "../service/session-service.js";
import type { ActivityKind } from "../service/activity.js";
import { logFailedRead } from "./log-failed-read.js";
import { type Channel, failed, type Subscriber } from "./phoenix-socket.js";
import { refusedPush } from "./refused-push.js";
import { topicCaller, TopicToken } from "./topic-token.js";

export interface LifecycleChannelOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
  readonly gate: Gate;
  readonly logger: Logger;
}

const SHAPE: JsonShape = { members: { token: "value", cursor: "value" } };
const DEPTH = { depthMax: LIMITS.jsonDepthMax + 4 };

/**
 * Joins `lifecycle`: what happens to the tenant's sessions from now on, or after a cursor: the join is answered with one,
 * and each item has one, so that whoever comes back misses nothing. All that ever happened: `GET /v1/lifecycle`.
 * @throws DaybookError whose code is the join's reason
 */
export async function joinLifecycle(
  { service, authenticator, gate, logger }: LifecycleChannelOptions,
  payload: string,
  subscriber: Subscriber,
): Promise<Channel> {
  const { token: joinToken, cursor } = membersOf(payload);
  const caller = await topicCaller(authenticator, subscriber, joinToken);
  gate.countPush(caller);
  requireMayFollowLifecycle(caller);
  const { tenant } = caller.principal;
  const place = cursor === undefined ? await newestPlace(service, tenant) : readPlace(cursor);
  const tail = lifecycleTail(service.engine, tenant, place, {
    send: (items) => items.map((item) => push(subscriber, item)).every(Boolean),
    end: (error) => {
      logFailedRead(logger, error);
      subscriber.fail();
    },
  });
  // Starts with the tail, not before the join is answered.
  let unwatch = (): void => undefined;
  const stop = (): void => {
    tail.stop();
    unwatch();
  };
  const token = new TopicToken(authenticator, caller, subscriber, stop);
  let started = false;
  return {
    joined: JSON.stringify({ cursor: encodePlace(place) }),
    handle: async (event, pushed) => {
      if (event !== "token") return failed("unmatched event");
      try {
        return await token.replace(membersOf(pushed).token, requireMayFollowLifecycle);
      } catch (error) {
        return refusedPush(error);
      }
    },
    resume: () => {
      if (started) {
        tail.resume();
        return;
      }
      started = true;
      tail.start();
      unwatch = service.activity.watch(tenant, (id, kinds) => {
        // Not kept for one who reads slowly: it is about the moment.
        if (subscriber.isReady()) for (const kind of kinds) pushActivity(subscriber, id, kind);
      });
    },
    stop: () => {
      stop();
      token.stop();
    },
  };
}

async function newestPlace({ engine }: SessionService, tenant: string): Promise<string> {
  const { end } = await engine.lifecycle(tenant, { limit: 1 });
  return end;
}

/** @throws DaybookError invalid_cursor */
function readPlace(cursor: unknown): string {
  if (typeof cursor === "string") return decodePlace(cursor);
  throw new DaybookError("invalid_cursor", "cursor must be one that this channel gave.");
}

function membersOf(payload: string): { readonly token?: unknown; readonly cursor?: unknown } {
  const value = parseJson(payload, SHAPE, DEPTH);
  return typeof value === "object" && value !== null ? value : {};
}

/** A new session is active at once, and clients expect to be told so first. */
function push(subscriber: Subscriber, item: LifecycleItem): boolean {
  if (item.kind === "created") pushActivity(subscriber, item.session, "activated");
  return subscriber.push(
    "lifecycle",
    Buffer.from(`{"event":${lifecycleJson(item, encodePlace(item.place))}}`),
  );
}

function pushActivity(subscriber: Subscriber, { id, tenant }: LogId, kind: ActivityKind): void {
  const event = { kind: `session.${kind}`, session_id: id, tenant_id: tenant };
  subscriber.push("lifecycle", Buffer.from(JSON.stringify({ event })));
}
