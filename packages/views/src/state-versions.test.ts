import type { KeyVersion } from "@daybook/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type NewKeyVersion, StateVersions, type VersionRecords } from "./state-versions.js";

/** Views in plain lists, key by key. */
class PlainRecords implements VersionRecords {
  readonly stored = new Map<string, KeyVersion[]>();

  write(taken: readonly NewKeyVersion[]): void {
    for (const { key, version } of taken) this.stored.set(key, [...(this.stored.get(key) ?? []), version]);
  }

  key = (_log: number, key: string): KeyVersion | undefined => this.stored.get(key)?.at(-1);
  versionAt = (_log: number, key: string, seq: number): KeyVersion | undefined =>
    this.stored.get(key)?.findLast((one) => one.seq <= seq);
  versionsFrom = (_log: number, key: string, seq: number): KeyVersion[] =>
    (this.stored.get(key) ?? []).filter((one) => one.seq >= seq);
}

type Step =
  | { readonly kind: "add"; readonly key: string; readonly step: number; readonly deleted: boolean }
  | { readonly kind: "take" | "release" | "restart" };

const KEYS = Array.from({ length: 20 }, (_, index) => `k${index}`);
const steps = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant("add" as const),
        // Few keys most of the time; sometimes more than are kept in memory.
        key: fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom("k0", "k1") },
          { weight: 1, arbitrary: fc.constantFrom(...KEYS) },
        ),
        step: fc.nat(2),
        deleted: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Step>({ kind: "take" }, { kind: "release" }, { kind: "restart" }),
    },
  ),
  { maxLength: 80 },
);

describe("the versions of a log's keys", () => {
  it("are found by number and by seq, wherever they are: in memory, on their way to the views, or there", () => {
    fc.assert(
      // A fork's versions begin behind those it inherits.
      fc.property(steps, fc.nat(3), (list, inherited) => {
        const records = new PlainRecords();
        const model = new Map<string, KeyVersion[]>();
        let versions = new StateVersions(1, records, false);
        let taken: readonly NewKeyVersion[] | undefined;
        let seq = 10;
        for (const step of list) {
          if (step.kind === "add") {
            seq += step.step;
            const known = model.get(step.key) ?? [];
            const version = { version: inherited + known.length + 1, seq, deleted: step.deleted };
            versions.add(step.key, version);
            model.set(step.key, [...known, version]);
          } else if (step.kind === "take" && taken === undefined) {
            taken = versions.take();
          } else if (step.kind === "release" && taken !== undefined) {
            records.write(taken);
            versions.release(taken);
            taken = undefined;
          } else if (step.kind === "restart") {
            // All that was made is written before a log is let go.
            records.write(taken ?? []);
            records.write(versions.take());
            versions = new StateVersions(1, records, true);
            taken = undefined;
          }
          for (const key of ["k0", "k1", "k7"]) {
            const known = model.get(key) ?? [];
            expect(versions.newest(key)).toEqual(known.at(-1));
            for (let at = 9; at <= seq + 1; at++)
              expect(versions.at(key, at)).toEqual(known.findLast((one) => one.seq <= at));
            for (let number = 0; number <= known.length + inherited + 1; number++)
              expect(versions.version(key, number)).toEqual(known.find(({ version }) => version === number));
            for (const number of [0, inherited, inherited + (known.length >> 1)])
              expect([...versions.after(key, number)]).toEqual(
                known.filter(({ version }) => version > number),
              );
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("are let go of once the views have them, but for a few", () => {
    const records = new PlainRecords();
    const versions = new StateVersions(1, records, false);
    for (let round = 1; round <= 3; round++) {
      for (const key of KEYS) versions.add(key, { version: round, seq: round, deleted: false });
      const taken = versions.take();
      versions.add("other", { version: round, seq: round, deleted: false });
      records.write(taken);
      versions.release(taken);
      records.stored.get("k3")?.splice(round - 1, 1, { version: round, seq: 77, deleted: false });
      // Asked of the views again: memory has let go of it.
      expect(versions.newest("k3")?.seq).toBe(77);
    }
  });
});
