import { Random } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { DaybookError } from "./errors.js";
import { SimClock } from "./sim-clock.test.support.js";
import { FINE, SimNetwork, STORM } from "./sim-network.test.support.js";
import { type Browser, SimLocks, SimPage } from "./sim-page.test.support.js";
import { type Met, SimServer } from "./sim-server.test.support.js";
import { memoryStore } from "./store.js";

/** One browser's story: what was appended in it, and what its pages saw. */
class Story {
  page: SimPage;
  /** Payloads, in the order in which they were given to any of its pages. */
  readonly appended: string[] = [];
  /** What each append was answered, by payload. */
  readonly answers = new Map<string, number>();
  readonly pages: SimPage[] = [];
  readonly followed: number[] = [];

  constructor(readonly browser: Browser) {
    this.page = this.load();
  }

  append(): void {
    const count = this.browser.random.between(1, 4);
    const texts = Array.from({ length: count }, () => {
      const text = `${this.browser.actor} ${this.appended.length + 1}`;
      this.appended.push(text);
      return text;
    });
    this.page.session
      .appendAll(texts.map((text) => ({ text })))
      .then((results) => {
        for (const [index, { seq }] of results.entries()) this.answers.set(texts[index] ?? "", seq);
      })
      .catch((error: unknown) => {
        throw new Error(`${texts.join()} was refused`, { cause: error });
      });
  }

  reload(): void {
    this.page.kill();
    this.page = this.load();
  }

  /** Follows in a loop that is slower than what comes. */
  follow(): void {
    const { random } = this.browser;
    const { session, clock } = this.page;
    void (async () => {
      for await (const { seq } of session.events({ cursor: 0 })) {
        this.followed.push(seq);
        if (random.chance(0.2))
          await new Promise<void>((resolve) => void clock.after(random.upTo(2_000), resolve));
      }
    })();
  }

  private load(): SimPage {
    const page = new SimPage(this.browser);
    this.pages.push(page);
    return page;
  }
}

interface World {
  readonly clock: SimClock;
  readonly server: SimServer;
  readonly network: SimNetwork;
  readonly random: Random;
  readonly stories: readonly Story[];
}

function newWorld(seed: number): World {
  const random = new Random(seed);
  const clock = new SimClock();
  const server = new SimServer(clock);
  const network = new SimNetwork(clock, server, random.fork());
  const stories = ["user:alice", "agent:bob"].map((actor) => {
    const browser = { network, random: random.fork(), store: memoryStore(), locks: new SimLocks(), actor };
    return new Story(browser);
  });
  return { clock, server, network, random, stories };
}

const range = (to: number): number[] => Array.from({ length: to }, (_, index) => index + 1);

/** Runs until everything has arrived everywhere. */
async function heal({ clock, network, stories, server }: World): Promise<void> {
  network.weather = FINE;
  for (const { page } of stories) page.wake();
  const isDone = (): boolean =>
    stories.every(
      ({ page, followed }) =>
        page.session.snapshot().pending.length === 0 &&
        page.session.cursor === server.log.length &&
        page.session.status === "live" &&
        (followed.length === 0 || followed.at(-1) === server.log.length),
    );
  for (let seconds = 0; seconds < 1_200 && !isDone(); seconds += 5) await clock.advance(5_000);
  expect(stories.map(({ page }) => [page.session.status, page.session.snapshot().outbox])).toEqual(
    stories.map(() => ["live", { state: "empty", pending: 0 }]),
  );
  for (const { browser } of stories) {
    const keys = await browser.store.keys("daybook/");
    expect(keys.filter((key) => key.includes("/outbox/"))).toEqual([]);
  }
}

/** Nothing lost, doubled or reordered, for anybody. */
function check({ server, stories }: World): void {
  const written = server.log.map(({ payload }) => String(payload.text));
  for (const { browser, appended, answers, pages, page, followed } of stories) {
    expect(
      written.filter((text) => text.startsWith(`${browser.actor} `)),
      "each append is there once, in order",
    ).toEqual(appended);
    for (const [text, seq] of answers) expect(written[seq - 1], "an answer names the event's seq").toBe(text);
    expect(page.session.cursor, "the last page has come to the end").toBe(server.log.length);
    for (const { seen } of pages)
      expect(seen, "a page saw each event from its cursor on once, in order").toEqual(
        seen.map((_, index) => (seen[0] ?? 1) + index),
      );
    expect(
      [...new Set(pages.flatMap(({ seen }) => seen))].sort((a, b) => a - b),
      "no page began too late",
    ).toEqual(range(server.log.length));
    if (followed.length > 0)
      expect(followed, "a loop sees each event once, in order").toEqual(range(server.log.length));
    const errors = pages.flatMap((one) => one.errors);
    expect(errors.filter((error) => !(error instanceof DaybookError) || !error.retryable)).toEqual([]);
  }
}

async function run(seed: number, step: (world: World) => void | Promise<void>): Promise<World> {
  const world = newWorld(seed);
  for (let count = 0; count < 60; count++) {
    await step(world);
    await world.clock.advance(world.random.upTo(world.random.chance(0.1) ? 30_000 : 600));
  }
  await heal(world);
  check(world);
  return world;
}

const DAY_MS = 24 * 3_600_000;

/** What the world does between two moments. */
function storm({ random, stories, network, clock }: World): void {
  const story = random.pick(stories);
  if (random.chance(0.1)) network.weather = random.chance(0.25) ? FINE : STORM;
  const what = random.weighted({ append: 60, cut: 6, sleep: 3, wake: 4, reload: 10, quiet: 17 });
  if (what === "append") story.append();
  else if (what === "cut") network.cutAll();
  else if (what === "sleep") clock.jump(random.chance(0.2) ? DAY_MS : random.between(1_000, 600_000));
  else if (what === "wake") story.page.wake();
  else if (what === "reload") story.reload();
}

const PARTS = range(10).map((part) => ({ first: (part - 1) * 20 + 1, last: part * 20 }));

describe("on a simulated clock and network", () => {
  test.each(PARTS)(
    "drops, delays, half-open sockets, duplicates, 5xx, expiry, sleep, reloads: seeds $first to $last",
    async ({ first, last }) => {
      const met: Met = { duplicates: 0, expired: 0, expiredInStream: 0, renewed: 0, joins: 0 };
      for (let seed = first; seed <= last; seed++) {
        try {
          const { server } = await run(seed, storm);
          for (const what of Object.keys(met) as (keyof Met)[]) met[what] += server.met[what];
        } catch (error) {
          throw new Error(`seed ${seed}`, { cause: error });
        }
      }
      // A simulation in which nothing goes wrong shows nothing.
      for (const [what, count] of Object.entries(met)) expect(count, what).toBeGreaterThan(10);
    },
  );

  test("loops that are slower than what comes see each event once", async () => {
    for (const seed of range(10)) {
      let isFollowed = false;
      await run(1_000 + seed, ({ random, stories, network }) => {
        if (!isFollowed) for (const story of stories) story.follow();
        isFollowed = true;
        network.weather = random.chance(0.5) ? STORM : FINE;
        random.pick(stories).append();
      });
    }
  });

  test("what tabs have left that were closed is sent by others that live, once and in each tab's order", async () => {
    let left = 0;
    for (const seed of range(60)) {
      const { clock, server, network, random } = newWorld(2_000 + seed);
      const browser = {
        ...{ network, random: random.fork(), store: memoryStore(), locks: new SimLocks() },
        actor: "user:alice",
      };
      const tabs: { readonly page: SimPage; readonly appended: string[] }[] = [];
      const living = (): typeof tabs => tabs.filter(({ page }) => !page.clock.isGone);
      const openTab = (): void => void tabs.push({ page: new SimPage(browser), appended: [] });
      openTab();
      for (let step = 0; step < 60; step++) {
        if (random.chance(0.1)) network.weather = random.chance(0.25) ? FINE : STORM;
        const tab = random.pick(living());
        const what = random.weighted({ append: 50, open: 10, close: 10, wake: 5, cut: 5, quiet: 20 });
        if (what === "append") {
          const text = `${tabs.indexOf(tab)}: ${tab.appended.length + 1}`;
          tab.appended.push(text);
          tab.page.session.append({ text }).catch(() => undefined);
        } else if (what === "open" && living().length < 4) openTab();
        else if (what === "close" && living().length > 1) {
          left += tab.page.session.snapshot().pending.length;
          tab.page.kill();
        } else if (what === "wake") tab.page.wake();
        else if (what === "cut") network.cutAll();
        await clock.advance(random.upTo(400));
      }
      network.weather = FINE;
      const isDone = (): boolean =>
        living().every(({ page }) => page.session.snapshot().pending.length === 0);
      for (let seconds = 0; seconds < 600 && (seconds < 60 || !isDone()); seconds += 5)
        await clock.advance(5_000);
      const written = server.log.map(({ payload }) => String(payload.text));
      for (const [index, { appended }] of tabs.entries())
        expect(
          written.filter((text) => text.startsWith(`${index}: `)),
          `seed ${seed}, tab ${index}`,
        ).toEqual(appended);
      const kept = await browser.store.keys("daybook/");
      expect(kept.filter((key) => key.includes("/outbox/"))).toEqual([]);
    }
    expect(left, "closed tabs have left something").toBeGreaterThan(50);
  });
});
