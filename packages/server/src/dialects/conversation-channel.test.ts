import { decideAppend, decideCreate, LogId, MESSAGE_TYPE } from "@daybook/core";
import type { Engine } from "@daybook/engine";
import { openMemoryEngine } from "@daybook/engine-embedded";
import { DaybookError } from "@daybook/protocol";
import { expect, it } from "vitest";
import { OPEN_CALLER } from "../service/caller.js";
import { SessionService } from "../service/session-service.js";
import { type ConversationChannelOptions, joinConversation } from "./conversation-channel.js";
import type { Subscriber } from "./phoenix-socket.js";

/** A conversation of three messages in a store that can be made to fail. */
async function failingStore(): Promise<{ engine: Engine; fail: () => void }> {
  const engine = await openMemoryEngine({});
  const session = new LogId("default", "c");
  const header = { creator: { type: "user", id: "ann" }, title: null, metadata: "{}" };
  await engine.transact(session, {}, (head) => decideCreate(head, { session, header }));
  const payload = '{"role":"user","parts":[{"type":"text"}]}';
  const event = { type: MESSAGE_TYPE, actor: "user:ann", payload, producer: null };
  await engine.transact(session, {}, (head, facts, now) =>
    decideAppend(head, facts, { events: [event, event, event], batch: true }, now),
  );
  let fails = false;
  const failing = Object.assign(Object.create(engine) as Engine, {
    read: (...call: Parameters<Engine["read"]>) => {
      if (fails) throw new DaybookError("storage_unavailable", "The disk is gone.");
      return engine.read(...call);
    },
  });
  return { engine: failing, fail: () => (fails = true) };
}

it("says with a gap what its reader misses when reading fails, before the client joins again", async () => {
  const { engine, fail } = await failingStore();
  const pushed: [event: string, payload: unknown][] = [];
  const subscriber: Subscriber = {
    caller: OPEN_CALLER,
    isReady: () => true,
    push: (event, payload) => {
      pushed.push([event, JSON.parse(payload.toString("utf8")) as unknown]);
      return true;
    },
    close: () => pushed.push(["phx_close", {}]),
    fail: () => pushed.push(["phx_error", {}]),
  };
  const options = {
    service: new SessionService(engine),
    authenticator: { stillGood: () => OPEN_CALLER, onEnd: () => () => undefined },
    gate: { countPush: () => undefined },
    metrics: { tailEvents: { inc: () => undefined }, openTails: { inc: () => undefined } },
    logger: { error: () => undefined },
  } as unknown as ConversationChannelOptions;
  const channel = await joinConversation(options, "c", '{"from":2}', subscriber);
  fail();
  channel.resume();
  expect(pushed).toEqual([
    ["gap", { type: "gap", expected: 2, actual: 4 }],
    ["phx_error", {}],
  ]);
});
