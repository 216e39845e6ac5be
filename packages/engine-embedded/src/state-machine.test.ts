import { readStateChange } from "@daybook/core";
import type { StateEntry } from "@daybook/engine";
import { appendOne, create, erase, fork, note, sessionId } from "@daybook/engine/contract/commands";
import { RawJson } from "@daybook/protocol";
import { FaultyStore, type ViewsFate } from "@daybook/test-kit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EmbeddedEngine } from "./engine.js";

/** What one event does: values that are set, null for a delete. */
type Change = ReadonlyMap<string, number | null>;

/** Sessions as plain lists of changes. A fork's is a copy of its parent's, which is what sharing must look like. */
class Model {
  readonly sessions = new Map<string, { changes: Change[]; readonly parent: string | undefined }>();
  readonly erased = new Set<string>();

  named(at: number): string | undefined {
    return [...this.sessions.keys()][at % this.sessions.size];
  }

  changes(id: string): Change[] {
    return this.sessions.get(id)?.changes ?? [];
  }

  forksOf(id: string): number {
    return [...this.sessions.values()].filter(({ parent }) => parent === id).length;
  }

  /** All versions of a key, oldest first. */
  history(id: string, key: string): StateEntry[] {
    return this.changes(id)
      .flatMap((change, index) => {
        const value = change.get(key);
        return value === undefined ? [] : [{ seq: index + 1, value }];
      })
      .map(({ seq, value }, index) => ({
        key,
        version: index + 1,
        seq,
        deleted: value === null,
        ...(value !== null && { value: String(value) }),
      }));
  }

  stateAt(id: string, atSeq: number): StateEntry[] {
    return KEYS.flatMap((key) => {
      const version = this.history(id, key).findLast(({ seq }) => seq <= atSeq);
      return version === undefined || version.deleted ? [] : [version];
    });
  }
}

/** In the order of their bytes, which is not that of UTF-16. */
const KEYS = ["a", "a/1", "b", "\uff5e", "😀"];

interface Real {
  readonly store: FaultyStore;
  engine: EmbeddedEngine;
}

type Command = fc.AsyncCommand<Model, Real>;

const SETTINGS = { segmentBytes: 600, recentBytesMax: 1_000, idleLogsMax: 1 };

function command(
  name: string,
  run: (model: Model, real: Real) => Promise<void>,
  needsSession = true,
): Command {
  return {
    check: (model) => !needsSession || model.sessions.size > 0,
    run,
    toString: () => name,
  };
}

function creation(id: string): Command {
  const run = async (model: Model, { engine }: Real): Promise<void> => {
    if (model.sessions.has(id) || model.erased.has(id)) {
      const code = model.erased.has(id) ? "session_deleted" : "session_exists";
      await expect(create(engine, id)).rejects.toMatchObject({ code });
      return;
    }
    await create(engine, id);
    model.sessions.set(id, { changes: [], parent: undefined });
  };
  return command(`create ${id}`, run, false);
}

function appending(at: number, change: Change, condition: { key: string; off: number } | undefined): Command {
  const said = JSON.stringify([...change]);
  return command(`append to #${at} ${said} if ${JSON.stringify(condition)}`, async (model, { engine }) => {
    const id = model.named(at) ?? "";
    const changes = model.changes(id);
    const known = condition === undefined ? undefined : model.history(id, condition.key).at(-1);
    // A tombstone holds for 0 and for its own version.
    const version = condition === undefined ? 0 : Math.max(0, (known?.version ?? 0) + condition.off);
    const holds = version === 0 ? known?.deleted !== false : known?.version === version;
    const set = Object.fromEntries([...change].filter(([, value]) => value !== null));
    const gone = [...change.keys()].filter((key) => change.get(key) === null);
    const conditions = condition === undefined ? {} : { if: { [condition.key]: version } };
    const text = JSON.stringify({ set, delete: gone, ...conditions });
    const state = readStateChange(new RawJson(text, "object"));
    const appended = appendOne(engine, id, { ...note("p", 1), producer: null, state });
    if (condition !== undefined && !holds) {
      await expect(appended).rejects.toMatchObject({
        code: "state_conflict",
        details: { key: condition.key, current_version: known?.version ?? 0, current_seq: known?.seq ?? 0 },
      });
      return;
    }
    expect(await appended).toBe(changes.length + 1);
    changes.push(change);
  });
}

function forking(at: number, part: number, id: string): Command {
  return command(`fork #${at} at ${part} as ${id}`, async (model, { engine }) => {
    const parent = model.named(at) ?? "";
    const seq = Math.round(model.changes(parent).length * part);
    if (model.sessions.has(id) || model.erased.has(id)) {
      await expect(fork(engine, parent, id, seq)).rejects.toBeDefined();
      return;
    }
    await fork(engine, parent, id, seq);
    model.sessions.set(id, { changes: model.changes(parent).slice(0, seq), parent });
  });
}

function erasing(at: number): Command {
  return command(`erase #${at}`, async (model, { engine }) => {
    const id = model.named(at) ?? "";
    const forks = model.forksOf(id);
    if (forks > 0) {
      await expect(erase(engine, id)).rejects.toMatchObject({
        code: "session_has_forks",
        details: { forks },
      });
      return;
    }
    await erase(engine, id);
    model.sessions.delete(id);
    model.erased.add(id);
  });
}

function looking(at: number, part: number, limit: number): Command {
  return command(`look at #${at} at ${part}`, async (model, { engine }) => {
    const id = model.named(at) ?? "";
    await compareState(model, engine, id, { atSeq: Math.round(model.changes(id).length * part), limit });
    for (const key of KEYS) await compareHistory(model, engine, id, key);
  });
}

/** A batch that cannot be written takes with it what was decided on top of it. */
function failing(at: number): Command {
  return command(`fail a fork of #${at}`, async (model, { engine, store }) => {
    const id = model.named(at) ?? "";
    // An erasure that cannot write is fatal; that is another story.
    await expect.poll(() => engine.erasuresPending, { interval: 1 }).toBe(0);
    store.files.fault = ({ kind }) => (kind === "write" ? new Error("no space") : undefined);
    const state = readStateChange(new RawJson('{"set":{"a":-1},"delete":["b"]}', "object"));
    const lost = await Promise.allSettled([
      appendOne(engine, id, { ...note("p", 1), producer: null, state }),
      fork(engine, id, "lost"),
      appendOne(engine, "lost", { ...note("p", 1), producer: null, state }),
    ]);
    store.files.fault = undefined;
    expect(lost.every(({ status }) => status === "rejected")).toBe(true);
    const goesOn = (): Promise<unknown> =>
      appendOne(engine, "nobody", note("p", 1)).catch((error: unknown) => error);
    await expect.poll(goesOn, { interval: 1 }).toMatchObject({ code: "session_not_found" });
    expect(engine.head(sessionId("lost"))).toBeUndefined();
  });
}

function restarting(how: "close" | "crash", views: ViewsFate): Command {
  const run = async (_model: Model, real: Real): Promise<void> => {
    if (how === "crash") real.store.files.crashLosingAll();
    await real.store.end();
    real.store.fatal.length = 0;
    await real.store.changeViews(views);
    if (views === "kept") await real.store.keepViews();
    real.engine = await real.store.open(SETTINGS);
  };
  return command(`${how}, views ${views}`, run, false);
}

async function compareState(
  model: Model,
  engine: EmbeddedEngine,
  id: string,
  { atSeq, limit }: { readonly atSeq: number; readonly limit: number },
): Promise<void> {
  const entries: StateEntry[] = [];
  for (let after: string | undefined; ;) {
    const page = await engine.state(sessionId(id), { atSeq, limit, ...(after !== undefined && { after }) });
    entries.push(...page.entries);
    if (page.next === undefined) break;
    after = page.next;
  }
  expect(entries).toEqual(model.stateAt(id, atSeq));
}

async function compareHistory(model: Model, engine: EmbeddedEngine, id: string, key: string): Promise<void> {
  const versions = await engine.stateHistory(sessionId(id), key, { after: 0, limit: 1_000 });
  expect(versions).toEqual(model.history(id, key));
}

const index = fc.nat(20);
const part = fc.constantFrom(0, 0.3, 0.5, 0.8, 1);
const change = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...KEYS), fc.option(fc.nat(9), { freq: 4 })), {
    maxLength: 3,
    selector: ([key]) => key,
  })
  .map((entries): Change => new Map(entries));
const condition = fc.option(
  fc.record({ key: fc.constantFrom(...KEYS), off: fc.constantFrom(0, 0, 0, -1, 1, -9) }),
  { nil: undefined },
);
const ids = fc.constantFrom("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8");
const fates = fc.constantFrom<ViewsFate>("kept", "kept", "deleted", "older");

const COMMANDS = [
  fc.constantFrom("s1", "s2").map(creation),
  fc.tuple(index, change, condition).map((given) => appending(...given)),
  fc.tuple(index, change, condition).map((given) => appending(...given)),
  fc.tuple(index, change, condition).map((given) => appending(...given)),
  fc.tuple(index, part, ids).map((given) => forking(...given)),
  fc.tuple(index, part, ids).map((given) => forking(...given)),
  fc.tuple(index, part, fc.integer({ min: 1, max: 3 })).map((given) => looking(...given)),
  index.map(erasing),
  index.map(failing),
  fc.tuple(fc.constantFrom("close" as const, "crash" as const), fates).map((given) => restarting(...given)),
];

describe("sessions with state, forks, crashes and views made anew", () => {
  it("are at every point what plain lists of changes say", async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: 60 }), async (commands) => {
        await using store = await FaultyStore.make();
        const real = { store, engine: await store.open(SETTINGS) };
        const model = new Model();
        await fc.asyncModelRun(() => ({ model, real }), commands);
        for (const [id, { changes }] of model.sessions) {
          for (let atSeq = 0; atSeq <= changes.length; atSeq++)
            await compareState(model, real.engine, id, { atSeq, limit: 100 });
          for (const key of KEYS) await compareHistory(model, real.engine, id, key);
        }
        for (const id of model.erased) expect(real.engine.head(sessionId(id))?.status).toBe("deleted");
        expect(store.fatal).toEqual([]);
      }),
      { numRuns: Number(process.env["DAYBOOK_RUNS"] ?? 60) },
    );
  });
});
