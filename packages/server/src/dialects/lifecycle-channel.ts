import { type JsonShape, LIMITS, parseJson } from "@daybook/protocol";
import type { LifecycleItem } from "@daybook/engine";
import type { Authenticator } from "../auth/authenticator.js";
import { lifecycleJson, LifecycleTail, requireMayFollowLifecycle } from "../service/lifecycle-feed.js";
import type { SessionService } from "../service/session-service.js";
import { type Channel, failed, type Subscriber } from "./phoenix-socket.js";

export interface LifecycleChannelOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
}

const JOIN: JsonShape = { members: { token: "value" } };
const DEPTH = { depthMax: LIMITS.jsonDepthMax + 4 };
const TOKEN_EXPIRED = Buffer.from('{"reason":"token_expired"}');

/**
 * Joins `lifecycle`: what happens to the tenant's sessions from now on. For what happened before there is
 * `GET /v1/lifecycle`.
 * @throws DaybookError whose code is the join's reason
 */
export async function joinLifecycle(
  { service, authenticator }: LifecycleChannelOptions,
  payload: string,
  subscriber: Subscriber,
): Promise<Channel> {
  const { token } = parseJson(payload, JOIN, DEPTH) as { token?: unknown };
  const caller =
    typeof token === "string"
      ? await authenticator.authenticate(token)
      : authenticator.stillGood(subscriber.caller);
  requireMayFollowLifecycle(caller);
  const { tenant } = caller.principal;
  const { end } = await service.engine.lifecycle(tenant, { limit: 1 });
  const tail = new LifecycleTail(service.engine, tenant, end, {
    send: (items) => items.map((item) => push(subscriber, item)).every(Boolean),
    end: () => subscriber.fail(),
  });
  const unwatch = authenticator.onEnd(caller, (how) => {
    tail.stop();
    if (how === "token_invalid") {
      subscriber.fail();
      return;
    }
    subscriber.push("token_expired", TOKEN_EXPIRED);
    subscriber.close();
  });
  let started = false;
  return {
    handle: () => Promise.resolve(failed("unmatched event")),
    resume: () => {
      if (started) tail.resume();
      else tail.start();
      started = true;
    },
    stop: () => {
      tail.stop();
      unwatch();
    },
  };
}

/** A new session is active at once, and clients expect to be told so first. */
function push(subscriber: Subscriber, item: LifecycleItem): boolean {
  if (item.kind === "created") {
    const { id, tenant } = item.session;
    const activated = JSON.stringify({ kind: "session.activated", session_id: id, tenant_id: tenant });
    subscriber.push("lifecycle", Buffer.from(`{"event":${activated}}`));
  }
  return subscriber.push("lifecycle", Buffer.from(`{"event":${lifecycleJson(item)}}`));
}
