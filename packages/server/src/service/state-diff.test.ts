import { compareKeys, LogId } from "@daybook/core";
import type { Engine, StateEntry, StatePage, StateQuery } from "@daybook/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diffState } from "./state-diff.js";

const ID = new LogId("acme", "s");

/** As much of an engine as a diff reads: a state by seq. */
class States {
  /** The seqs whose pages were read, in their order. */
  readonly pages: number[] = [];

  constructor(
    private readonly states: readonly (readonly StateEntry[])[],
    private readonly valueOf = ({ key, version }: { key: string; version: number }) => `"${key} ${version}"`,
  ) {}

  get engine(): Engine {
    return {
      state: (_id: LogId, query: StateQuery) => Promise.resolve(this.page(query)),
      stateKey: (_id: LogId, key: string, { version = 0 }: { version?: number }) =>
        Promise.resolve({ key, version, seq: 1, deleted: false, value: this.valueOf({ key, version }) }),
    } as unknown as Engine;
  }

  private page({ atSeq = 0, after, prefix = "", limit }: StateQuery): StatePage {
    this.pages.push(atSeq);
    const all = (this.states[atSeq] ?? []).filter(({ key }) => key.startsWith(prefix));
    const first = after === undefined ? 0 : all.findIndex(({ key }) => key === after) + 1;
    const entries = all.slice(first, first + limit);
    const next = first + limit < all.length ? entries.at(-1)?.key : undefined;
    return next === undefined ? { entries, atSeq } : { entries, atSeq, next };
  }
}

const stateOf = (versions: ReadonlyMap<string, number>): StateEntry[] =>
  [...versions]
    .map(([key, version]) => ({ key, version, seq: 1, deleted: false }))
    .sort((one, other) => compareKeys(one.key, other.key));

const numbered = (count: number, version = 1): StateEntry[] =>
  stateOf(new Map(Array.from({ length: count }, (_, index) => [`k${10_000 + index}`, version])));

describe("what changed between two states", () => {
  test("is what a comparison of both as a whole says, in the order of the keys' bytes", async () => {
    const key = fc.string({ unit: fc.constantFrom("a", "b", "é", "\uffff", "😀"), maxLength: 3 });
    const state = fc.array(fc.tuple(key, fc.integer({ min: 1, max: 2 }))).map((all) => new Map(all));
    await fc.assert(
      fc.asyncProperty(state, state, fc.constantFrom("", "a"), async (before, after, prefix) => {
        const { engine } = new States([stateOf(before), stateOf(after)]);
        const differences = await diffState(engine, ID, { from: 0, to: 1, prefix });
        const keys = [...new Set([...before.keys(), ...after.keys()])]
          .filter((one) => one.startsWith(prefix) && before.get(one) !== after.get(one))
          .sort(compareKeys);
        expect(
          differences.map((one) => [one.key, one.kind, one.before?.version, one.after?.version]),
        ).toEqual(
          keys.map((one) => {
            const kind = !before.has(one) ? "added" : after.has(one) ? "changed" : "removed";
            return [one, kind, before.get(one), after.get(one)];
          }),
        );
        for (const one of differences) {
          for (const side of [one.before, one.after])
            if (side !== undefined) expect(side.value).toBe(`"${one.key} ${side.version}"`);
        }
      }),
    );
  });

  test("is found a page of each at a time, and neither is held", async () => {
    const states = new States([numbered(5_000), numbered(5_001)]);
    const differences = await diffState(states.engine, ID, { from: 0, to: 1, prefix: "" });
    expect(differences).toMatchObject([{ key: "k15000", kind: "added" }]);
    let ahead = 0;
    for (const seq of states.pages) {
      ahead += seq === 0 ? 1 : -1;
      expect(Math.abs(ahead)).toBeLessThanOrEqual(1);
    }
  });

  test("is refused once it is more than can be held, be it added or changed", async () => {
    const mebibyte = JSON.stringify("x".repeat(1024 * 1024 - 300));
    const large = (count: number) =>
      diffState(new States([[], numbered(count)], () => mebibyte).engine, ID, { from: 0, to: 1, prefix: "" });
    expect(await large(64)).toHaveLength(64);
    await expect(large(65)).rejects.toMatchObject({ code: "answer_too_large" });
    const many = new States(
      [numbered(1_000, 1), numbered(1_000, 2)],
      () => '{"a":"' + "x".repeat(40_000) + '"}',
    );
    await expect(diffState(many.engine, ID, { from: 0, to: 1, prefix: "" })).rejects.toMatchObject({
      code: "answer_too_large",
    });
  });
});
