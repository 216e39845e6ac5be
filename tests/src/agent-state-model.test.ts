import { rm } from "node:fs/promises";
import { join } from "node:path";
import { newDataDir, startServer, type TestServer } from "@daybook/test-kit";
import fc from "fast-check";
import { expect, it } from "vitest";
import { plain, refusalOf, StatehouseClient, struct } from "./support/statehouse-client.js";

/** What is true of agents' state, as plainly as it can be said: maps, with everything that ever was. */
class Model {
  readonly commits: { readonly txnId: string; readonly operations: readonly Applied[] }[] = [];
  readonly versions = new Map<string, Applied[]>();
  readonly open = new Map<number, { txnId: string; operations: Operation[] }>();

  /** The code of the refusal, or what it committed. */
  commit(txnId: string, operations: readonly Operation[]): "state_conflict" | "ok" {
    for (const operation of operations) {
      const { ifVersion } = operation;
      const newest = this.versions.get(idOf(operation))?.at(-1);
      const holds = ifVersion === 0 ? newest?.value === undefined : newest?.version === ifVersion;
      if (ifVersion !== undefined && !holds) return "state_conflict";
    }
    const applied: Applied[] = [];
    for (const { agent, key, value } of operations) {
      const versions = this.versions.get(idOf({ agent, key })) ?? [];
      const one = { agent, key, value, version: versions.length + 1, ts: this.commits.length + 1 };
      this.versions.set(idOf({ agent, key }), [...versions, one]);
      applied.push(one);
    }
    this.commits.push({ txnId, operations: applied });
    return "ok";
  }

  at(agent: string, key: string, ts: number): Applied | undefined {
    return this.versions.get(idOf({ agent, key }))?.findLast((one) => one.ts <= ts);
  }

  /** What exists of an agent at a commit, in the order of the keys. */
  existing(agent: string, prefix: string, ts: number): Applied[] {
    return KEYS.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
      .filter((key) => key.startsWith(prefix))
      .flatMap((key) => this.at(agent, key, ts) ?? [])
      .filter(({ value }) => value !== undefined);
  }
}

interface Operation {
  readonly agent: string;
  readonly key: string;
  readonly value: object | undefined;
  readonly ifVersion?: number;
}

interface Applied extends Operation {
  readonly version: number;
  readonly ts: number;
}

interface Real {
  readonly dataDir: string;
  server: TestServer;
  client: StatehouseClient;
}

type Command = fc.AsyncCommand<Model, Real>;

const AGENTS = ["a", "a:", "team/b"];
const KEYS = ["k", "k:1", "k/2", "é", "😀"];
const idOf = ({ agent, key }: Pick<Operation, "agent" | "key">): string => JSON.stringify([agent, key]);
const entryOf = ({ key, version, ts, value }: Applied): object => ({
  ...{ key, version, commit_ts: ts, deleted: value === undefined },
  ...(value !== undefined && { value }),
});
const pathOf = (agent: string, rest = ""): string => `/v1/state/default/${encodeURIComponent(agent)}${rest}`;

/** As it looks once it went through JSON. Not `__proto__`: the server keeps it, but this test's gRPC client does not. */
const value: fc.Arbitrary<object> = fc
  .dictionary(fc.string({ unit: "grapheme", maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 })
  .map((object) => JSON.stringify(object))
  .filter((text) => !text.includes("__proto__"))
  .map((text) => JSON.parse(text) as object);
const operation: fc.Arbitrary<Operation> = fc.record(
  {
    agent: fc.constantFrom(...AGENTS),
    key: fc.constantFrom(...KEYS),
    value: fc.option(value, { nil: undefined, freq: 4 }),
    ifVersion: fc.nat({ max: 4 }),
  },
  { requiredKeys: ["agent", "key", "value"] },
);
/** A transaction has one condition for a record: others are refused before it gets so far. */
const operations = fc
  .array(operation, { maxLength: 5 })
  .map((list) =>
    list.filter(
      (one, at) => one.ifVersion === undefined || list.findIndex((other) => idOf(one) === idOf(other)) === at,
    ),
  );
const slot = fc.nat({ max: 2 });

function command(
  name: string,
  run: (model: Model, real: Real) => Promise<void>,
  check = (_model: Model) => true,
): Command {
  return { toString: () => name, check, run };
}

const stage = fc.tuple(slot, operations).map(([at, list]) =>
  command(`stage ${list.length} in ${at}`, async (model, { client }) => {
    const known = model.open.get(at) ?? { txnId: await client.begin(600_000), operations: [] };
    const conditions = new Set(known.operations.filter(({ ifVersion }) => ifVersion !== undefined).map(idOf));
    for (const { agent, key, value: set, ifVersion } of list) {
      const condition = ifVersion === undefined || conditions.has(idOf({ agent, key })) ? {} : { ifVersion };
      const target = { txnId: known.txnId, agentId: agent, key, ...condition };
      if (set === undefined) await client.call("delete", target);
      else await client.call("write", { ...target, value: struct(set) });
      known.operations.push({ agent, key, value: set, ...condition });
    }
    model.open.set(at, known);
  }),
);

const commit = slot.map((at) =>
  command(`commit ${at}`, async (model, { client }) => {
    const { txnId, operations: staged } = model.open.get(at) ?? { txnId: "none", operations: [] };
    const wasOpen = model.open.delete(at);
    const expected = wasOpen ? model.commit(txnId, staged) : "transaction_not_found";
    const answer = client.call("commit", { txnId });
    if (expected === "ok") expect(Number((await answer).commitTs)).toBe(model.commits.length);
    else expect(await refusalOf(answer)).toContain(expected);
  }),
);

const abort = slot.map((at) =>
  command(`abort ${at}`, async (model, { client }) => {
    const txnId = model.open.get(at)?.txnId ?? "none";
    model.open.delete(at);
    await client.call("abort", { txnId });
  }),
);

const transact = operations.map((list) =>
  command(`transact ${list.length}`, async (model, { server }) => {
    const sent = list.map(({ agent, key, value: set, ifVersion }) => ({
      ...{ agent_id: agent, key },
      ...(set === undefined ? { delete: true } : { value: set }),
      ...(ifVersion !== undefined && { if_version: ifVersion }),
    }));
    const answer = await server.call("POST", "/v1/state/transactions", { operations: sent });
    const { txn_id: txnId = "", commit_ts: ts } = answer.json as unknown as {
      txn_id?: string;
      commit_ts?: number;
    };
    const expected = model.commit(txnId, list);
    if (expected === "ok") expect([answer.status, ts]).toEqual([201, model.commits.length]);
    else expect([answer.status, answer.json.error]).toEqual([409, expected]);
  }),
);

const get = fc
  .tuple(fc.constantFrom(...AGENTS), fc.constantFrom(...KEYS), fc.nat())
  .map(([agent, key, any]) =>
    command(`get ${agent} ${key}`, async (model, { client, server }) => {
      const ts = any % (model.commits.length + 1);
      const then = model.at(agent, key, ts);
      const at = await server.call("GET", pathOf(agent, `/${encodeURIComponent(key)}?at=${ts}`));
      if (then?.value === undefined) expect(at.status).toBe(404);
      else expect(at.json).toEqual(entryOf(then));
      const now = model.at(agent, key, Infinity);
      const answer = await client.call("getState", { agentId: agent, key });
      expect([answer.exists, Number(answer.version), Number(answer.commitTs), plain(answer.value)]).toEqual([
        ...[now?.value !== undefined, now?.version ?? 0, now?.ts ?? 0, now?.value],
      ]);
      const versions = model.versions.get(idOf({ agent, key })) ?? [];
      const history = await server.call(
        "GET",
        pathOf(agent, `/${encodeURIComponent(key)}/history?limit=1000`),
      );
      expect((history.json as unknown as { versions: unknown }).versions).toEqual(versions.map(entryOf));
      const some = versions[any % Math.max(1, versions.length)];
      const old = await client.call("getStateAtVersion", {
        agentId: agent,
        key,
        version: some?.version ?? 1,
      });
      expect([old.exists, plain(old.value)]).toEqual([some?.value !== undefined, some?.value]);
    }),
  );

const list = fc
  .tuple(fc.constantFrom(...AGENTS), fc.constantFrom("", "k", "k:", "é"), fc.nat())
  .map(([agent, prefix, any]) =>
    command(`list ${agent} ${prefix}`, async (model, { client, server }) => {
      const ts = any % (model.commits.length + 1);
      const query = `?prefix=${encodeURIComponent(prefix)}&at=${ts}`;
      const { state } = (await server.call("GET", pathOf(agent, query))).json as unknown as {
        state: unknown;
      };
      expect(state).toEqual(model.existing(agent, prefix, ts).map(entryOf));
      const now = model.existing(agent, prefix, Infinity);
      const { entries } = await client.call("scanPrefix", { agentId: agent, prefix });
      expect(entries.map((one) => [one.key, Number(one.version), plain(one.value)])).toEqual(
        now.map((one) => [one.key, one.version, one.value]),
      );
      const { keys } = await client.call("listKeys", { agentId: agent });
      expect(keys).toEqual(model.existing(agent, "", Infinity).map(({ key }) => key));
    }),
  );

const replay = fc.tuple(fc.constantFrom(...AGENTS), fc.nat(), fc.nat()).map(([agent, one, other]) =>
  command(`replay ${agent}`, async (model, { client }) => {
    const [startTs, endTs] = [one, other].map((any) => any % (model.commits.length + 2));
    const expected = model.commits.flatMap(({ txnId, operations: applied }, index) => {
      const own = applied.filter((operation) => operation.agent === agent);
      const inside = index + 1 >= (startTs ?? 0) && index + 1 <= (endTs ?? 0) && own.length > 0;
      return inside
        ? [[txnId, index + 1, own.map(({ key, version, value: set }) => [key, version, set])]]
        : [];
    });
    const events = await client.replayAll({ agentId: agent, startTs, endTs });
    expect(
      events.map(({ txnId, commitTs, operations: applied }) => [
        txnId,
        Number(commitTs),
        applied.map(({ key, version, value: set }) => [key, Number(version), plain(set)]),
      ]),
    ).toEqual(expected);
  }),
);

const diff = fc.tuple(fc.constantFrom(...AGENTS), fc.nat(), fc.nat()).map(([agent, one, other]) =>
  command(`diff ${agent}`, async (model, { server }) => {
    const [from = 0, to = 0] = [one, other].map((any) => any % (model.commits.length + 1));
    const { json } = await server.call("GET", pathOf(agent, `/diff?from=${from}&to=${to}`));
    const living = (ts: number): Map<string, Applied> =>
      new Map(model.existing(agent, "", ts).map((entry) => [entry.key, entry]));
    const [before, after] = [living(from), living(to)];
    const changed = [...after].filter(([key, entry]) => (before.get(key) ?? entry).version !== entry.version);
    expect(json).toEqual({
      added: [...after].filter(([key]) => !before.has(key)).map(([, entry]) => entryOf(entry)),
      changed: changed.map(([key, entry]) => ({
        key,
        before: entryOf(before.get(key) ?? entry),
        after: entryOf(entry),
      })),
      removed: [...before].filter(([key]) => !after.has(key)).map(([, entry]) => entryOf(entry)),
    });
  }),
);

const restart = fc.boolean().map((withViews) =>
  command(withViews ? "restart" : "restart without views", async (model, real) => {
    real.client[Symbol.dispose]();
    await real.server.close();
    if (!withViews) await rm(join(real.dataDir, "views"), { recursive: true });
    real.server = await startServer({ dataDir: real.dataDir });
    real.client = new StatehouseClient(real.server.grpcAddress);
    // What was only staged is forgotten.
    model.open.clear();
  }),
);

it("agents' state is at every point what the transactions before made of it, over restarts and rebuilt views", async () => {
  const commands = fc.commands(
    [stage, stage, commit, commit, abort, transact, transact, get, get, list, replay, diff, restart],
    { maxCommands: 80, size: "max" },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const dataDir = await newDataDir();
      const server = await startServer({ dataDir });
      const real: Real = { dataDir, server, client: new StatehouseClient(server.grpcAddress) };
      try {
        await fc.asyncModelRun(() => ({ model: new Model(), real }), sequence);
      } finally {
        real.client[Symbol.dispose]();
        await real.server.close();
        await rm(dataDir, { recursive: true });
      }
    }),
    { numRuns: 12 },
  );
});
