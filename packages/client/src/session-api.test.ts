import { describe, expect, test } from "vitest";
import { defaultEnvironment } from "./environment.js";
import { DaybookError, type DaybookErrorOptions } from "./errors.js";
import { Http } from "./http.js";
import { SessionApi } from "./session-api.js";
import { type RefreshToken, TokenKeeper } from "./token-keeper.js";

/** A session's calls against answers that are given one after the other; each says with which token it was called. */
function calling(
  answers: readonly { readonly status: number; readonly body?: object }[],
  refreshToken?: RefreshToken,
) {
  const calls: string[] = [];
  const left = [...answers];
  const environment = {
    ...defaultEnvironment(),
    clock: {
      now: () => 0,
      after: (ms: number, run: () => void) => (ms < 20_000 && queueMicrotask(run), () => undefined),
    },
  };
  const fetch = (url: string, { headers }: { readonly headers: Record<string, string> }) => {
    calls.push(`${headers["authorization"]} ${new URL(url).pathname}`);
    const { status, body } = left.shift() ?? { status: 200, body: {} };
    const text = (): Promise<string> => Promise.resolve(JSON.stringify(body));
    return Promise.resolve({ status, headers: { get: () => null }, text });
  };
  const tokens = new TokenKeeper({
    token: "h.e30.1",
    refreshToken,
    environment,
    changed: () => undefined,
    failed: () => undefined,
  });
  return { api: new SessionApi("s/1", new Http("http://d", fetch, environment), tokens), calls };
}

const refusal = (status: number, error: string) => ({ status, body: { error, message: error } });
const EXPIRED = refusal(401, "unauthorized");
const another = (): Promise<string> => Promise.resolve("h.e30.2");
const failed = (call: Promise<unknown>): Promise<Required<DaybookErrorOptions> & { code: string }> =>
  call.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error as never,
  );

describe("a call about a session", () => {
  test("is made again with another token when the one there was is refused", async () => {
    const { api, calls } = calling([EXPIRED, { status: 200, body: { a: 1 } }], another);
    expect(await api.call("GET", "/x")).toEqual({ a: 1 });
    expect(calls).toEqual(["Bearer h.e30.1 /v1/sessions/s%2F1/x", "Bearer h.e30.2 /v1/sessions/s%2F1/x"]);
  });

  test("is refused when the second token is, too", async () => {
    const { api, calls } = calling([EXPIRED, refusal(403, "forbidden")], another);
    expect(await failed(api.call("GET", "/x"))).toMatchObject({ code: "forbidden", mayHaveHappened: false });
    expect(calls).toHaveLength(2);
  });

  test("without another token it fails for what the old one was refused for", async () => {
    for (const refreshToken of [undefined, () => Promise.resolve(null)]) {
      const { api } = calling([EXPIRED], refreshToken);
      expect(await failed(api.call("GET", "/x"))).toMatchObject({ code: "unauthorized", status: 401 });
    }
  });

  test("a refresh that fails for another reason is said", async () => {
    const { api } = calling([EXPIRED], () => Promise.reject(new DaybookError("closed", "Over.")));
    expect(await failed(api.call("GET", "/x"))).toMatchObject({ code: "closed" });
  });

  test("may have happened if a try with the old token may have", async () => {
    const { api } = calling(
      [refusal(503, "storage_unavailable"), EXPIRED, refusal(409, "state_conflict")],
      another,
    );
    expect(await failed(api.call("POST", "/x", { body: "{}" }))).toMatchObject({
      code: "state_conflict",
      mayHaveHappened: true,
    });
  });
});
