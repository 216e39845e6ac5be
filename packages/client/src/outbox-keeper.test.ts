import { describe, expect, test } from "vitest";
import { defaultEnvironment, type Environment } from "./environment.js";
import { localLocks } from "./local-locks.js";
import { OutboxKeeper } from "./outbox-keeper.js";
import { numbered, type OutgoingGroup } from "./outbox-queue.js";
import { SafeStore } from "./safe-store.js";
import { PageClock, settled, SimClock } from "./sim-clock.test.support.js";
import { memoryStore } from "./store.js";

const group = (key: string, producerId: string, producerSeq: number): OutgoingGroup =>
  numbered({ key, producerId, producerSeq, events: [{ type: "content", payload: { key } }] });
const keys = (groups: readonly OutgoingGroup[]): string => groups.map(({ key }) => key).join("");

/** A browser: what its pages share. */
function browser(): {
  readonly page: (more?: Partial<Environment>) => Page;
  readonly count: () => Promise<number>;
  readonly store: SafeStore;
} {
  const kept = memoryStore();
  const locks = localLocks();
  const store = new SafeStore(kept, defaultEnvironment().clock, (error) => {
    throw error;
  });
  return {
    store,
    page: (more) => new Page(store, { ...defaultEnvironment(), locks, ...more }),
    count: async () => (await kept.keys("p/")).length,
  };
}

class Page {
  readonly adopted: string[] = [];
  readonly keeper: OutboxKeeper;

  constructor(store: SafeStore, environment: Environment) {
    const adopt = (groups: readonly OutgoingGroup[]): void => {
      if (groups.length > 0) this.adopted.push(keys(groups));
    };
    this.keeper = new OutboxKeeper({ store, prefix: "p/", environment, adopt });
  }

  async open(): Promise<string> {
    return keys(await this.keeper.open());
  }
}

describe("what an outbox keeps", () => {
  test("is taken over by the page that comes next, in order, with its numbers", async () => {
    const { page, count } = browser();
    const first = page();
    expect(await first.open()).toBe("");
    for (const [index, key] of Array.from("abcdefghijkl").entries())
      void first.keeper.keep(group(key, "p", index + 1));
    first.keeper.forget("b");
    first.keeper.close();
    const second = page().keeper;
    const left = await second.open();
    expect(keys(left)).toBe("acdefghijkl");
    expect(left[1]).toEqual(group("c", "p", 3));
    for (const { key } of left) second.forget(key);
    await settled();
    expect(await count()).toBe(0);
  });

  test("goes from page to page in the order it was written, whatever chance says", async () => {
    const { page } = browser();
    let all = "";
    for (let count = 0; count < 12; count++) {
      const { keeper } = page();
      expect(keys(await keeper.open())).toBe(all);
      const key = "abcdefghijkl"[count] ?? "";
      void keeper.keep(group(key, `p${count}`, 1));
      all += key;
      keeper.close();
      await settled();
    }
  });

  test("is left alone while its page lives, and taken over when that is gone", async () => {
    const { page } = browser();
    const [first, second] = [page(), page()];
    await first.open();
    void first.keeper.keep(group("a", "p", 1));
    expect(await second.open()).toBe("");
    await settled();
    expect(second.adopted).toEqual([]);
    first.keeper.close();
    await settled();
    expect(second.adopted).toEqual(["a"]);
  });

  test("is found later as well, by whoever looks again", async () => {
    const { page } = browser();
    const [first, second] = [page(), page()];
    await second.open();
    await first.open();
    void first.keeper.keep(group("a", "p", 1));
    first.keeper.close();
    await second.keeper.lookAgain();
    expect(second.adopted).toEqual(["a"]);
    await second.keeper.lookAgain();
    expect(second.adopted).toEqual(["a"]);
  });

  test("is found by itself within half a minute, for as long as the page lives", async () => {
    const { page } = browser();
    const clock = new SimClock();
    const second = page({ clock: new PageClock(clock) });
    await second.open();
    const leave = async (key: string): Promise<void> => {
      const first = page();
      await first.open();
      void first.keeper.keep(group(key, key, 1));
      first.keeper.close();
    };
    await leave("a");
    await clock.advance(30_000);
    expect(second.adopted).toEqual(["a"]);
    await leave("b");
    await clock.advance(30_000);
    expect(second.adopted).toEqual(["a", "b"]);
    second.keeper.close();
    await leave("c");
    await clock.advance(100_000);
    expect(second.adopted).toEqual(["a", "b"]);
  });

  test("goes to one of many that wait for it", async () => {
    const { page } = browser();
    const first = page();
    await first.open();
    void first.keeper.keep(group("a", "p", 1));
    const others = [page(), page(), page()];
    for (const other of others) await other.open();
    first.keeper.close();
    await settled();
    expect(others.flatMap(({ adopted }) => adopted)).toEqual(["a"]);
  });

  test("a move that was cut off is put together again", async () => {
    const { page, store } = browser();
    // b was moved to the second and not yet deleted from the first; c and d were not moved.
    const places = { "0000000002.x": ["a", "b"], "0000000001.x": ["b", "c", "d"] };
    for (const [id, left] of Object.entries(places))
      for (const key of left) {
        const { text: _, ...kept } = group(key, "p", "abcd".indexOf(key) + 1);
        await store.set(`p/${id}/${"abcd".indexOf(key)}`, JSON.stringify(kept));
      }
    expect(await page().open()).toBe("abcd");
  });

  test("stays where it is when there is no room to move it, and is taken over from there", async () => {
    const kept = memoryStore();
    let isFull = false;
    const store = new SafeStore(
      {
        ...kept,
        set: (key, value) => (isFull ? Promise.reject(new Error("full")) : kept.set(key, value)),
      },
      defaultEnvironment().clock,
      () => undefined,
    );
    const environment = { ...defaultEnvironment(), locks: localLocks() };
    const [first, second, third] = [1, 2, 3].map(() => new Page(store, environment));
    await first!.open();
    for (const [index, key] of Array.from("abc").entries())
      void first!.keeper.keep(group(key, "p", index + 1));
    first!.keeper.close();
    isFull = true;
    expect(await second!.open()).toBe("abc");
    // It sends one, and is gone.
    second!.keeper.forget("a");
    second!.keeper.close();
    isFull = false;
    expect(await third!.open()).toBe("bc");
    for (const key of "bc") third!.keeper.forget(key);
    await settled();
    expect(await kept.keys("")).toEqual([]);
  });

  test("what is no append is thrown away", async () => {
    const { page, store, count } = browser();
    for (const [place, text] of Object.entries({
      "1.x/1": "{",
      "1.x/2": "[]",
      "1.x/3": "null",
      "1.x/4": '{"key":1}',
    }))
      await store.set(`p/${place}`, text);
    expect(await page().open()).toBe("");
    expect(await count()).toBe(0);
  });

  test("without real locks belongs to the tab, and to no other", async () => {
    const { page } = browser();
    const tab = page({ owner: "tab1", locks: localLocks() });
    await tab.open();
    void tab.keeper.keep(group("a", "p", 1));
    // Reloaded: its locks are gone with it, and those of other tabs were never seen.
    expect(await page({ owner: "tab2", locks: localLocks() }).open()).toBe("");
    expect(await page({ owner: "tab1", locks: localLocks() }).open()).toBe("a");
  });
});

describe("local locks", () => {
  const never = new Promise<void>(() => undefined);

  test("are held by one at a time, in the order they were asked for", async () => {
    const locks = localLocks();
    const order: number[] = [];
    const request = (n: number): Promise<unknown> =>
      locks.request("x", {}, async () => {
        order.push(n);
        await settled();
        order.push(-n);
      });
    await Promise.all([request(1), request(2), request(3)]);
    expect(order).toEqual([1, -1, 2, -2, 3, -3]);
  });

  test("are not waited for by whoever does not want to, nor by whoever has gone", async () => {
    const locks = localLocks();
    void locks.request("x", {}, () => never);
    const given: unknown[] = [];
    await locks.request("x", { ifAvailable: true }, (lock) => Promise.resolve(void given.push(lock)));
    await locks.request("y", { ifAvailable: true }, (lock) => Promise.resolve(void given.push(lock)));
    expect(given).toEqual([null, { name: "y" }]);
  });

  test("are free again after their holder has failed", async () => {
    const locks = localLocks();
    await expect(locks.request("x", {}, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    let isHeld = false;
    await locks.request("x", {}, () => Promise.resolve(void (isHeld = true)));
    expect(isHeld).toBe(true);
  });

  test("a request that was aborted while it waited is rejected when its turn comes", async () => {
    const locks = localLocks();
    let release: () => void = () => undefined;
    void locks.request("x", {}, () => new Promise<void>((resolve) => (release = resolve)));
    const abort = new AbortController();
    const waiting = locks.request("x", { signal: abort.signal }, () => Promise.resolve());
    await settled();
    abort.abort();
    release();
    await expect(waiting).rejects.toThrow();
  });
});
