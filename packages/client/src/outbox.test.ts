import { describe, expect, test } from "vitest";
import { defaultEnvironment } from "./environment.js";
import { DaybookError } from "./errors.js";
import { Outbox, type AppendProgress } from "./outbox.js";
import { SafeStore } from "./safe-store.js";
import { PageClock, settled, SimClock } from "./sim-clock.test.support.js";
import { memoryStore, type Store } from "./store.js";
import { type RefreshToken, TokenKeeper } from "./token-keeper.js";
import type { SessionEvent } from "./wire.js";

interface Sent {
  readonly events: readonly {
    readonly payload: { readonly text: string };
    readonly producer_id: string;
    readonly producer_seq: number;
  }[];
  readonly expected_seq?: number;
}

/** What a request came to: results, an error, something else that is answered, or nothing for ever. */
type Outcome = "taken" | "silent" | DaybookError | { readonly answer: unknown };

const TOO_LARGE = new DaybookError("event_too_large", "Too large.", { status: 413 });
const CLOSED = new DaybookError("session_closed", "Closed.", { status: 410 });
const CONFLICT = new DaybookError("expected_seq_conflict", "Somebody was faster.", { status: 409 });
const EXPIRED = new DaybookError("unauthorized", "Expired.", { status: 401 });
const LOST = new DaybookError("network_error", "Lost.", { retryable: true, mayHaveHappened: true });
const BUSY = new DaybookError("rate_limited", "Not now.", {
  status: 429,
  retryable: true,
  retryAfterMs: 500,
});

/** An outbox whose requests come to what is said, one after the other, and are taken after that. */
class World {
  readonly clock = new SimClock();
  readonly sent: Sent[] = [];
  readonly told: string[] = [];
  readonly paused: DaybookError[] = [];
  readonly outcomes: Outcome[] = [];
  readonly outbox: Outbox;
  wake: () => void = () => undefined;
  readonly tokens: TokenKeeper;
  private seq = 0;

  constructor({
    store,
    refreshToken,
  }: { readonly store?: Store; readonly refreshToken?: RefreshToken } = {}) {
    let ids = 0;
    const environment = {
      ...defaultEnvironment(),
      clock: new PageClock(this.clock),
      random: () => 0,
      newId: () => `id${++ids}`,
      onWake: (wake: () => void) => ((this.wake = wake), () => undefined),
    };
    this.tokens = new TokenKeeper({
      token: "h.e30.s",
      refreshToken,
      environment,
      changed: () => undefined,
      failed: () => undefined,
    });
    this.outbox = new Outbox({
      environment,
      tokens: this.tokens,
      send: (body, _token, signal) => this.answer(JSON.parse(body) as Sent, signal),
      progress: ({ kind, events, error }: AppendProgress) =>
        void this.told.push(
          `${kind} ${events.map(({ payload }) => String(payload["text"])).join()}${error?.mayHaveHappened === true ? " ?" : ""}`,
        ),
      paused: (error) => void this.paused.push(error),
      changed: () => undefined,
      ...(store && {
        kept: {
          prefix: "p/",
          store: new SafeStore(store, environment.clock, ({ code }) => void this.told.push(code)),
        },
      }),
    });
  }

  append(text: string, expectedSeq?: number): Promise<string> {
    const appended = this.outbox.append([{ type: "content", payload: { text } }], expectedSeq);
    return appended.then(
      ([result]) => `${text} at ${result?.seq}`,
      (error: unknown) => {
        const { code, mayHaveHappened } = error as DaybookError;
        return `${code}${mayHaveHappened ? " ?" : ""}`;
      },
    );
  }

  /** The requests so far: what each held, under which numbers. */
  get requests(): string[] {
    return this.sent.map(({ events }) =>
      events
        .map(({ payload, producer_id, producer_seq }) => `${payload.text}=${producer_id}#${producer_seq}`)
        .join(" "),
    );
  }

  private answer({ events, ...rest }: Sent, signal: AbortSignal): Promise<unknown> {
    this.sent.push({ events, ...rest });
    const outcome = this.outcomes.shift() ?? "taken";
    if (outcome === "silent")
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    if (outcome instanceof DaybookError) return Promise.reject(outcome);
    if (outcome !== "taken") return Promise.resolve(outcome.answer);
    return Promise.resolve({ results: events.map(() => ({ seq: ++this.seq, deduped: false })) });
  }
}

const seenAs = (seq: number, { events }: Sent): SessionEvent =>
  ({ ...events[0], seq }) as unknown as SessionEvent;

describe("whether an append that failed may have happened", () => {
  test("no, when it was refused at its first try, and not after tries that surely did nothing", async () => {
    const world = new World();
    world.outcomes.push(BUSY, TOO_LARGE);
    const append = world.append("a");
    await world.clock.advance(1_000);
    expect(await append).toBe("event_too_large");
    expect(world.told).toEqual(["queued a", "retrying a", "refused a"]);
  });

  test("yes, when an earlier try had no answer; of those that were not tried: no", async () => {
    const world = new World();
    world.outcomes.push(LOST, CLOSED, CLOSED);
    const first = world.append("a");
    await settled();
    const second = world.append("b");
    await world.clock.advance(1_000);
    expect(await first).toBe("session_closed ?");
    world.outbox.discard();
    expect(await second).toBe("session_closed");
    expect(world.told).toContain("discarded a ?");
  });

  test("yes, when it was given up while a try was on its way", async () => {
    const world = new World();
    world.outcomes.push("silent", CLOSED);
    const append = world.append("a");
    await settled();
    world.wake();
    expect(await append).toBe("session_closed ?");
  });

  test("closing: only what was on its way, or what the next page will send", async () => {
    const world = new World();
    world.outcomes.push("silent");
    const sent = world.append("a");
    await settled();
    const waiting = world.append("b");
    world.outbox.close();
    expect([await sent, await waiting, await world.append("c")]).toEqual(["closed ?", "closed", "closed"]);
    const kept = new World({ store: memoryStore() });
    await settled();
    kept.outcomes.push(CLOSED, "silent");
    await kept.append("a");
    kept.outbox.resume();
    await settled();
    const next = kept.append("b");
    kept.outbox.close();
    expect(await next).toBe("closed ?");
  });
});

describe("an outbox", () => {
  test("a condition that is not met in the middle of a queue refuses its own append; the rest keeps its order", async () => {
    const world = new World();
    world.outcomes.push("taken", CONFLICT);
    const appends = [world.append("a"), world.append("b", 0), world.append("c"), world.append("d")];
    expect(await Promise.all(appends)).toEqual(["a at 1", "expected_seq_conflict", "c at 2", "d at 3"]);
    expect(world.requests).toEqual(["a=id1#1", "b=id1#2", "c=id1#2 d=id1#3"]);
    expect(world.paused).toEqual([]);
  });

  test("what is behind an append that may have been taken after all goes on as another producer", async () => {
    const world = new World();
    world.outcomes.push(LOST, CONFLICT);
    const appends = [world.append("a", 0), world.append("b")];
    await world.clock.advance(1_000);
    expect(await Promise.all(appends)).toEqual(["expected_seq_conflict ?", "b at 1"]);
    const [first, again, then] = world.requests;
    expect([first, again]).toEqual(["a=id1#1", "a=id1#1"]);
    expect(then).toMatch(/^b=id\d+#1$/);
    expect(then).not.toContain("id1#");
  });

  test("a doubt ends with the append that it was about", async () => {
    const world = new World();
    world.outcomes.push(LOST, "taken", CONFLICT);
    const first = world.append("a");
    await world.clock.advance(1_000);
    expect(await first).toBe("a at 1");
    const [unmet, then] = [world.append("b", 0), world.append("c")];
    expect([await unmet, await then]).toEqual(["expected_seq_conflict", "c at 2"]);
    expect(world.requests.at(-1)).toBe("c=id1#2");
  });

  test("an answer that says nothing of each event acknowledges nothing, and pauses", async () => {
    for (const answer of [
      undefined,
      [],
      { results: [] },
      { results: [{}] },
      { results: [{ seq: "1" }] },
      "<html>",
    ]) {
      const world = new World();
      world.outcomes.push({ answer });
      expect(await world.append("a")).toBe("invalid_answer ?");
      expect(world.outbox.status).toMatchObject({ state: "paused", pending: 1 });
      world.outbox.resume();
      await settled();
      expect(world.requests).toEqual(["a=id1#1", "a=id1#1"]);
      expect(world.outbox.status).toEqual({ state: "empty", pending: 0 });
    }
  });

  test("what is seen on the tail needs no answer, be it on its way, waiting to be tried again, or refused", async () => {
    for (const outcome of ["silent", LOST, CLOSED] as const) {
      const world = new World();
      world.outcomes.push(outcome);
      const first = world.append("a");
      await settled();
      world.outbox.seen([seenAs(7, world.sent[0]!)]);
      const then = await world.append("b");
      expect(then).toBe("b at 1");
      if (outcome !== CLOSED) expect(await first).toBe("a at 7");
      expect(world.told.filter((line) => line === "acknowledged a")).toHaveLength(1);
      expect(world.requests).toEqual(["a=id1#1", "b=id1#2"]);
    }
  });

  test("a token that is refused is replaced, and the append sent again under its number", async () => {
    let asked = 0;
    const world = new World({ refreshToken: () => Promise.resolve((asked++, "h.e30.t")) });
    world.outcomes.push(EXPIRED);
    expect(await world.append("a")).toBe("a at 1");
    expect([asked, world.requests]).toEqual([1, ["a=id1#1", "a=id1#1"]]);
  });

  test("a refreshToken that never answers is asked again, and does not keep a token that is given from being used", async () => {
    let asked = 0;
    const refreshToken: RefreshToken = () => (asked++, new Promise(() => undefined));
    const world = new World({ refreshToken });
    world.outcomes.push(EXPIRED);
    const append = world.append("a");
    await world.clock.advance(100_000);
    expect(asked).toBeGreaterThan(1);
    expect(world.outbox.status).toMatchObject({ state: "retrying", pending: 1 });
    world.tokens.replace("h.e30.t");
    await settled();
    expect(await append).toBe("a at 1");
  });

  test("a store that never answers keeps nobody from appending", async () => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const world = new World({ store: { get: never, set: never, delete: never, keys: never } });
    const append = world.append("a");
    await world.clock.advance(10_000);
    expect(await append).toBe("a at 1");
    expect(world.told).toContain("store_failed");
  });

  test("a page that is gone for a day goes on where it was", async () => {
    const world = new World();
    world.outcomes.push(LOST, LOST);
    const append = world.append("a");
    await settled();
    world.clock.jump(24 * 3_600_000);
    await world.clock.advance(0);
    await world.clock.advance(1_000);
    expect(await append).toBe("a at 1");
  });

  test("a queue that has not been sent takes no more than ten thousand events, and takes more again when it has", async () => {
    const world = new World();
    world.outcomes.push("silent");
    const many = Array.from({ length: 10_000 }, () => ({ type: "content", payload: { text: "" } }));
    world.outbox.append(many).catch(() => undefined);
    expect(await world.append("one more")).toBe("outbox_full");
    world.wake();
    await settled();
    expect(await world.append("now")).toBe("now at 10001");
  });

  test("what is changed after it was given is appended as it was given, also under another number", async () => {
    const world = new World();
    world.outcomes.push(CONFLICT);
    const event = { type: "content", payload: { text: "as it was" } };
    const unmet = world.append("a", 0);
    const appended = world.outbox.append([event]);
    event.payload.text = "changed";
    await Promise.all([unmet, appended]);
    expect(world.requests).toEqual(["a=id1#1", "as it was=id1#1"]);
  });

  test("what cannot be JSON is refused at once, and takes no number", async () => {
    const world = new World();
    const bad = { type: "content", payload: { text: 1n } };
    expect(() => void world.outbox.append([bad])).toThrow(TypeError);
    expect(await world.append("a")).toBe("a at 1");
    expect(world.requests).toEqual(["a=id1#1"]);
  });
});
