import { describe, expect, test } from "vitest";
import { backoffMs } from "./backoff.js";
import { defaultEnvironment, type FetchLike } from "./environment.js";
import { type DaybookError, errorOfAnswer, errorOfReason } from "./errors.js";
import { Http } from "./http.js";
import { PageClock, SimClock } from "./sim-clock.test.support.js";

type Answer =
  { readonly status: number; readonly body?: unknown; readonly retryAfter?: string } | "down" | "silent";

/** A server that gives these answers, one after the other. */
function served(...answers: Answer[]) {
  const clock = new SimClock();
  const calls: {
    readonly atMs: number;
    readonly method: string;
    readonly headers: Record<string, string>;
  }[] = [];
  const fetch: FetchLike = (_url, { method, headers, signal }) => {
    calls.push({ atMs: clock.nowMs, method, headers });
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const answer = answers.shift() ?? "down";
    if (answer === "down") return Promise.reject(new TypeError("fetch failed"));
    if (answer === "silent")
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    const { status, body, retryAfter = null } = answer;
    const text = typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body);
    return Promise.resolve({ status, headers: { get: () => retryAfter }, text: () => Promise.resolve(text) });
  };
  const http = new Http("http://d", fetch, {
    ...defaultEnvironment(),
    clock: new PageClock(clock),
    random: () => 0,
  });
  return { http, clock, calls };
}

const failed = async (promise: Promise<unknown>): Promise<DaybookError> =>
  promise.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error as DaybookError,
  );
const GET = { method: "GET", path: "/x" } as const;
const unavailable = { status: 503, body: { error: "storage_unavailable", message: "Not now." } };

describe("a call", () => {
  test("gives the parsed body, and nothing for an empty one", async () => {
    const { http, calls } = served({ status: 200, body: { a: 1 } }, { status: 204 });
    expect(await http.call({ ...GET, token: "t", body: "{}" })).toEqual({ a: 1 });
    expect(await http.call(GET)).toBeUndefined();
    expect(calls.map(({ headers }) => headers)).toEqual([
      { authorization: "Bearer t", "content-type": "application/json" },
      {},
    ]);
  });

  test("is tried again later when that may help, and not more often than that", async () => {
    const { http, clock, calls } = served("down", unavailable, { status: 200, body: 1 });
    const call = http.call(GET);
    await clock.advance(10_000);
    expect([await call, calls.map(({ atMs }) => atMs)]).toEqual([1, [0, 125, 375]]);
    const hopeless = served();
    const failing = failed(hopeless.http.call(GET));
    await hopeless.clock.advance(100_000);
    expect(await failing).toMatchObject({ code: "network_error", retryable: true, mayHaveHappened: true });
    expect(hopeless.calls).toHaveLength(4);
  });

  test("waits as long as the server asks, a minute at most", async () => {
    const limited = (retryAfter: string): Answer => ({
      status: 429,
      body: { error: "rate_limited", message: "" },
      retryAfter,
    });
    const { http, clock, calls } = served(limited("7"), limited("86400"), { status: 200, body: 1 });
    const call = http.call(GET);
    await clock.advance(70_000);
    await call;
    expect(calls.map(({ atMs }) => atMs)).toEqual([0, 7_000, 67_000]);
  });

  test("that must not happen twice is tried again only if it surely did not happen", async () => {
    const first = served(unavailable, { status: 200 });
    expect(await failed(first.http.call(GET, false))).toMatchObject({
      code: "storage_unavailable",
      mayHaveHappened: true,
    });
    expect(first.calls).toHaveLength(1);
    const second = served(
      { status: 503, body: { error: "shutting_down", message: "" } },
      { status: 200, body: 2 },
    );
    const call = second.http.call(GET, false);
    await second.clock.advance(1_000);
    expect(await call).toBe(2);
  });

  test("may have happened if any of its tries may have, whatever the last one was answered", async () => {
    const refused = { status: 409, body: { error: "session_exists", message: "There is." } };
    const busy = { status: 429, body: { error: "rate_limited", message: "" } };
    for (const [answers, mayHaveHappened] of [
      [["down", refused], true],
      [[unavailable, busy, refused], true],
      [["down", busy, busy, busy], true],
      [[busy, refused], false],
      [[busy, busy, busy, busy], false],
    ] as const) {
      const { http, clock } = served(...answers);
      const failing = failed(http.call(GET));
      await clock.advance(100_000);
      const { code, status } = await failing;
      expect(await failing).toMatchObject({ mayHaveHappened });
      expect([code, status]).toEqual(
        answers.at(-1) === refused ? ["session_exists", 409] : ["rate_limited", 429],
      );
    }
  });

  test("that must not happen twice is not tried again after a try that may have happened and one that did not", async () => {
    const shutting = { status: 503, body: { error: "shutting_down", message: "" } };
    const { http, clock, calls } = served(shutting, unavailable, { status: 200 });
    const failing = failed(http.call(GET, false));
    await clock.advance(10_000);
    expect(await failing).toMatchObject({ code: "storage_unavailable", mayHaveHappened: true });
    expect(calls).toHaveLength(2);
  });

  test("that is refused is not tried again", async () => {
    const { http, calls } = served({
      status: 409,
      body: { error: "session_exists", message: "There is.", id: "s" },
    });
    expect(await failed(http.call(GET))).toMatchObject({
      code: "session_exists",
      message: "There is.",
      status: 409,
      retryable: false,
      mayHaveHappened: false,
      details: { id: "s" },
    });
    expect(calls).toHaveLength(1);
  });

  test("that is not answered is given up", async () => {
    const { http, clock } = served("silent");
    const call = failed(http.once(GET));
    await clock.advance(30_001);
    expect(await call).toMatchObject({ code: "timeout", retryable: true, mayHaveHappened: true });
  });

  test("ends with its signal, while it is on its way and while it waits to be tried again", async () => {
    for (const answer of ["silent", "down"] as const) {
      const { http, clock, calls } = served(answer, "silent");
      const abort = new AbortController();
      const call = failed(http.call({ ...GET, signal: abort.signal }));
      await clock.advance(1);
      abort.abort();
      await clock.advance(1);
      expect(await call).toMatchObject({ code: "network_error" });
      expect(calls.length).toBeLessThanOrEqual(2);
    }
  });

  test("answered by something else than a server of ours says so", async () => {
    expect(await failed(served({ status: 200, body: "<html>" }).http.once(GET))).toMatchObject({
      code: "invalid_answer",
      retryable: false,
      mayHaveHappened: true,
    });
    expect(await failed(served({ status: 404, body: "<html>" }).http.once(GET))).toMatchObject({
      code: "invalid_answer",
      status: 404,
      retryable: false,
    });
    expect(await failed(served({ status: 502, body: "<html>" }).http.once(GET))).toMatchObject({
      code: "network_error",
      status: 502,
      retryable: true,
      mayHaveHappened: true,
    });
  });
});

describe("errors", () => {
  test("of answers follow the server's table, and never what an answer's code happens to name in JavaScript", () => {
    expect(errorOfAnswer(401, { error: "unauthorized", message: "m" }, null)).toMatchObject({
      isAuth: true,
      message: "m",
    });
    expect(errorOfAnswer(400, { error: "constructor" }, null)).toMatchObject({ code: "invalid_answer" });
    expect(errorOfAnswer(500, { error: "internal_error", message: "" }, "soon")).toMatchObject({
      retryable: true,
      mayHaveHappened: true,
      retryAfterMs: undefined,
    });
  });

  test("of refused joins are the same errors", () => {
    expect(errorOfReason("token_expired")).toMatchObject({ code: "unauthorized", isAuth: true });
    expect(errorOfReason("rate_limited")).toMatchObject({ retryable: true });
    expect(errorOfReason("session_not_found")).toMatchObject({ status: 404, retryable: false });
    expect(errorOfReason(undefined)).toMatchObject({ code: "invalid_answer" });
  });
});

test("waits double up to ten seconds, and a random part of them is left out", () => {
  expect([1, 2, 3, 6, 7, 50].map((failures) => backoffMs(failures, 1))).toEqual([
    250, 500, 1_000, 8_000, 10_000, 10_000,
  ]);
  expect(backoffMs(3, 0)).toBe(500);
});
