import "fake-indexeddb/auto";
import { fakeStorage } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { defaultEnvironment } from "./environment.js";
import { SafeStore } from "./safe-store.js";
import { PageClock, SimClock } from "./sim-clock.test.support.js";
import { memoryStore, type Store } from "./store.js";
import { indexedDbStore, localStorageStore } from "./web-stores.js";
import type { DaybookError } from "./errors.js";

const STORES: Readonly<Record<string, () => Store>> = {
  memoryStore,
  localStorageStore: () => localStorageStore(fakeStorage()),
  indexedDbStore: () => indexedDbStore(`test-${Math.random()}`),
};

describe.each(Object.entries(STORES))("%s", (_name, open) => {
  test("gives back what was set, until it is deleted", async () => {
    const store = open();
    expect(await store.get("a")).toBeUndefined();
    await store.set("a", "1");
    await store.set("a", "2 ✓");
    expect(await store.get("a")).toBe("2 ✓");
    await store.delete("a");
    await store.delete("never");
    expect(await store.get("a")).toBeUndefined();
  });

  test("lists keys by how they begin", async () => {
    const store = open();
    for (const key of ["x/1", "x/2", "x/é", "y/1", "x"]) await store.set(key, "");
    expect([...(await store.keys("x/"))].sort()).toEqual(["x/1", "x/2", "x/é"]);
    expect(await store.keys("z")).toEqual([]);
    expect(await store.keys("")).toHaveLength(5);
  });

  test("calls that are not waited for take effect in their order", async () => {
    const store = open();
    void store.set("a", "1");
    void store.delete("a");
    void store.set("a", "3");
    expect(await store.get("a")).toBe("3");
  });
});

test("localStorage is written before the next line runs", () => {
  const storage = fakeStorage();
  void localStorageStore(storage).set("a", "1");
  expect(storage.getItem("a")).toBe("1");
});

test("two clients of one database see the same", async () => {
  const name = `test-${Math.random()}`;
  await indexedDbStore(name).set("a", "1");
  expect(await indexedDbStore(name).get("a")).toBe("1");
});

describe("a store that fails", () => {
  const failing = (): { readonly safe: SafeStore; readonly errors: DaybookError[] } => {
    const errors: DaybookError[] = [];
    const store = localStorageStore({
      ...fakeStorage(),
      getItem: () => {
        throw new Error("forbidden");
      },
      setItem: () => {
        throw new DOMException("full", "QuotaExceededError");
      },
    });
    const { clock } = defaultEnvironment();
    return { safe: new SafeStore(store, clock, (error) => void errors.push(error)), errors };
  };

  test("is told, and otherwise as good as empty", async () => {
    const { safe, errors } = failing();
    expect(await safe.set("a", "1")).toBe(false);
    expect(await safe.get("a")).toBeUndefined();
    expect(errors.map(({ code, message }) => [code, message])).toEqual([
      ["store_failed", "The store failed: full"],
      ["store_failed", "The store failed: forbidden"],
    ]);
  });

  test("by never answering is told, and not waited for any longer", async () => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const clock = new SimClock();
    const errors: string[] = [];
    const safe = new SafeStore(
      { get: never, set: never, delete: never, keys: never },
      new PageClock(clock),
      ({ message }) => void errors.push(message),
    );
    const answers = Promise.all([safe.get("a"), safe.keys("a"), safe.set("a", "1")]);
    safe.delete("a");
    await clock.advance(5_000);
    expect(await answers).toEqual([undefined, [], false]);
    expect(errors).toEqual(Array.from({ length: 4 }, () => "The store failed: it does not answer."));
  });
});
