import { Daybook, memoryStore, type Session, type Store } from "@daybook/client";
import { recordStream } from "@daybook/client/ai";
import {
  eventually,
  newDataDir,
  Random,
  startServer,
  startServerProcess,
  type TestServer,
  within,
} from "@daybook/test-kit";
import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { newId } from "./support/auth-server.js";
import { CALM, FaultProxy, ROUGH } from "./support/fault-proxy.js";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** A client behind the proxy; it can be woken, as the browser does when the network is back. */
class Page {
  readonly seen: number[] = [];
  private readonly wakers = new Set<() => void>();
  private readonly daybook: Daybook;
  session!: Session;

  constructor(proxy: FaultProxy, store: Store) {
    const onWake = (callback: () => void): (() => void) => {
      this.wakers.add(callback);
      return () => void this.wakers.delete(callback);
    };
    this.daybook = new Daybook({ baseUrl: proxy.url, WebSocket, store, environment: { onWake } });
  }

  bind(token: string, refreshToken: () => Promise<string>): void {
    this.session = this.daybook.session({ token, refreshToken });
    this.session.on("event", ({ seq }) => void this.seen.push(seq));
    this.session.on("error", () => undefined);
  }

  wake(): void {
    for (const waker of [...this.wakers]) waker();
  }

  close(timeoutMs: number): Promise<void> {
    return this.daybook.close({ timeoutMs });
  }
}

async function mint(id: string, who: string): Promise<string> {
  const { text } = await server.call("POST", "/api/v1/session-tokens", {
    session_id: id,
    principal: { type: "user", id: who },
    scopes: ["session:read", "session:append"],
  });
  return (JSON.parse(text) as { token: string }).token;
}

async function run(seed: number): Promise<FaultProxy["met"]> {
  const random = new Random(seed);
  await using proxy = await FaultProxy.start(server.url, random.fork());
  const id = await server.create({ id: newId() });
  const stories = await Promise.all(
    ["alice", "bob"].map(async (who) => {
      const store = memoryStore();
      const token = await mint(id, who);
      const load = (): Page => {
        const page = new Page(proxy, store);
        page.bind(token, () => mint(id, who));
        return page;
      };
      return { who, load, page: load(), appended: [] as string[], seen: [] as number[] };
    }),
  );
  for (let step = 0; step < 40; step++) {
    const story = random.pick(stories);
    if (random.chance(0.2)) proxy.faults = random.chance(0.3) ? CALM : ROUGH;
    const what = random.weighted({ append: 12, cut: 1, wake: 2, reload: 1 });
    if (what === "cut") proxy.cutAll();
    else if (what === "wake") story.page.wake();
    else if (what === "reload") {
      // Whatever it had not sent is left to the page that comes after it.
      await story.page.close(0);
      story.seen.push(...story.page.seen);
      story.page = story.load();
    } else {
      const texts = Array.from(
        { length: random.between(1, 3) },
        (_, n) => `${story.who} ${story.appended.length + n + 1}`,
      );
      story.appended.push(...texts);
      story.page.session.appendAll(texts.map((text) => ({ text }))).catch(() => undefined);
    }
    await pause(random.upTo(25));
  }
  proxy.faults = CALM;
  proxy.cutAll();
  const total = stories.reduce((sum, { appended }) => sum + appended.length, 0);
  let round = 0;
  await eventually(`seed ${seed}: everything has arrived`, () => {
    // A page is woken more than once: a connection that went silent is found by asking.
    if (++round % 200 === 1) for (const { page } of stories) page.wake();
    return stories.every(
      ({ page }) => page.session.cursor === total && page.session.snapshot().pending.length === 0,
    );
  });
  const log = await server.allEvents(id);
  for (const { who, page, appended, seen } of stories) {
    const mine = log.filter(({ actor }) => actor === `user:${who}`).map(({ payload }) => payload["text"]);
    expect(mine, `seed ${seed}: each append is there once, in order`).toEqual(appended);
    const all = [...seen, ...page.seen];
    expect(all, `seed ${seed}: each event was told once, in order`).toEqual(log.map(({ seq }) => seq));
    await page.close(0);
  }
  return proxy.met;
}

describe("through a TCP proxy that cuts, silences and refuses connections", () => {
  test.each([1, 2, 3, 4, 5])(
    "seed %i, and 5, 10 and 15 further: nothing is lost, doubled or reordered",
    async (first) => {
      const met = await Promise.all([0, 5, 10, 15].map((more) => run(first + more)));
      // How many connections there are, and so what they meet, depends on the machine as well.
      const faults = met.reduce((sum, { cut, halfOpen, refuse }) => sum + cut + halfOpen + refuse, 0);
      expect(faults).toBeGreaterThan(5);
    },
  );
});

describe("a server that is killed and started again", () => {
  test("appends, loops and answers that are being written go on as if nothing had been", async () => {
    const dataDir = await newDataDir();
    let server = await startServerProcess({ dataDir });
    try {
      await using proxy = await FaultProxy.start(server.url, new Random(1));
      const wakers = new Set<() => void>();
      const onWake = (wake: () => void): (() => void) => {
        wakers.add(wake);
        return () => void wakers.delete(wake);
      };
      await using daybook = new Daybook({ baseUrl: proxy.url, WebSocket, environment: { onWake } });
      const id = newId();
      const alice = await daybook.session({ id, identity: daybook.user({ id: "alice" }) });
      const agent = await daybook.session({ id, identity: daybook.agent({ id: "drafter" }) });
      const told: number[] = [];
      alice.on("event", ({ seq }) => void told.push(seq));
      const followed: number[] = [];
      void (async () => {
        for await (const { seq } of agent.events()) followed.push(seq);
      })();

      let isWriting = true;
      const words = async function* (): AsyncGenerator<{ type: string }> {
        yield { type: "start" };
        for (let n = 1; isWriting; n++) {
          yield { type: "data-word", n } as { type: string };
          await pause(5);
        }
      };
      const answer = recordStream(agent, words(), { batchMs: 5 });
      const appended: Promise<number>[] = [];
      const write = (count: number): void => {
        for (let n = 0; n < count; n++)
          appended.push(alice.append({ text: `${appended.length + 1}` }).then(({ seq }) => seq));
      };
      for (let round = 0; round < 3; round++) {
        write(20);
        await eventually("it is in the middle of it", () => alice.snapshot().pending.length > 0);
        await server.kill("SIGKILL");
        write(20);
        server = await startServerProcess({ dataDir });
        proxy.retarget(server.url);
        proxy.cutAll();
        // Else they would come by themselves, when they try again.
        for (const wake of [...wakers]) wake();
        write(20);
        await within("all are acknowledged", Promise.all(appended));
      }
      isWriting = false;
      expect(await within("the answer ended", answer)).toMatchObject({ end: "finish" });
      const log = await server.allEvents(id);
      const seqs = log.map(({ seq }) => seq);
      await eventually("everything has arrived", () =>
        [told, followed].every((seen) => seen.at(-1) === seqs.length),
      );
      expect([told, followed]).toEqual([seqs, seqs]);
      const [mine, chunks] = ["user:alice", "agent:drafter"].map((actor) =>
        log.filter((event) => event.actor === actor),
      );
      expect(mine?.map(({ payload }) => payload["text"])).toEqual(appended.map((_, n) => `${n + 1}`));
      expect(mine?.map(({ seq }) => seq)).toEqual(await Promise.all(appended));
      const written = chunks?.map(({ payload }) => payload["chunk"] as { type: string; n?: number }) ?? [];
      expect([written[0]?.type, written.at(-1)?.type]).toEqual(["start", "finish"]);
      expect(written.slice(1, -1).map(({ n }) => n)).toEqual(written.slice(2).map((_, n) => n + 1));
    } finally {
      await server.kill("SIGKILL");
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
