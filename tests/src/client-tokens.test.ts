import { Daybook, type DaybookError, type DaybookOptions, type Session } from "@daybook/client";
import { eventBody, eventually, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { runDaybook } from "./support/run-daybook.js";

let auth: AuthServer;
let api: TokenApi;
let apiKey: string;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
  apiKey = (await auth.key()).key;
});
afterAll(() => auth[Symbol.asyncDispose]());

const opened: Daybook[] = [];
afterAll(() => Promise.all(opened.map((daybook) => daybook.close({ timeoutMs: 0 }))));
function client(more: Partial<DaybookOptions> = {}): Daybook {
  const daybook = new Daybook({ baseUrl: auth.url, WebSocket, ...more });
  opened.push(daybook);
  return daybook;
}

/** A session with what its listeners were told. */
function watched(session: Session): {
  readonly session: Session;
  readonly seqs: number[];
  readonly statuses: string[];
  readonly errors: DaybookError[];
} {
  const told = { session, seqs: [] as number[], statuses: [] as string[], errors: [] as DaybookError[] };
  session.on("event", ({ seq }) => void told.seqs.push(seq));
  session.on("status", ({ status }) => void told.statuses.push(status));
  session.on("error", (error) => void told.errors.push(error));
  return told;
}

describe("a token that ends", () => {
  test("is replaced in place before it does: the tail goes on without a pause", async () => {
    const id = await api.create({ id: newId() });
    let minted = 0;
    const mint = (): Promise<string> => (minted++, auth.mint(apiKey, id, { as: "user:alice", ttl: 4 }));
    const { session, seqs, statuses, errors } = watched(
      client().session({ token: await mint(), refreshToken: mint }),
    );
    await eventually("it is live", () => session.status === "live");
    statuses.length = 0;
    await eventually("it was replaced", async () => {
      await session.append({ text: "still here" });
      return minted === 2;
    });
    await session.append({ text: "and now" });
    await eventually("all came", () => seqs.at(-1) === session.cursor);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    expect([statuses.filter((status) => status !== "live"), errors]).toEqual([[], []]);
  });

  test("in mid-stream, when nobody replaced it: the tail fetches another and skips nothing", async () => {
    const id = await api.create({ id: newId() });
    let fetched = 0;
    // Its life is not known to the client, so that only the server's word counts.
    const claims = {
      sub: "user:alice",
      session_id: id,
      scope: "session:read session:append",
      iat: undefined,
    };
    const now = (): number => Math.floor(Date.now() / 1_000);
    const session = watched(
      client().session({
        token: await auth.token({ ...claims, exp: now() + 2 }),
        refreshToken: () => (fetched++, auth.token({ ...claims, exp: now() + 600 })),
      }),
    );
    await eventually("it has ended and was replaced", async () => {
      await api.append(id, eventBody(session.seqs.length + 1, { producer_id: newId() }));
      await eventually("it came", () => session.session.cursor > 0);
      return fetched === 1 && session.session.status === "live";
    });
    const { last_seq } = (await api.call("GET", `/v1/sessions/${id}`)).json;
    await eventually("all came", () => session.session.cursor === last_seq);
    expect(session.seqs).toEqual(session.seqs.map((_, index) => index + 1));
    expect([fetched, session.errors]).toEqual([1, []]);
  });

  test("had ended before it was used: the socket cannot be opened with it, which a browser does not say", async () => {
    const id = await api.create({ id: newId() });
    await api.fill(id, { to: 3 });
    const claims = { sub: "user:alice", session_id: id, scope: "session:read session:append" };
    const token = await auth.token({ ...claims, iat: 1, exp: 2 });
    const { session, seqs } = watched(client().session({ token, refreshToken: () => auth.token(claims) }));
    await eventually("all came", () => seqs.length === 3);
    expect(await session.append({ text: "Hello!" })).toMatchObject({ seq: 4 });
  });

  test("without a refreshToken tail and outbox stop and say why; a new token makes both go on", async () => {
    const id = await api.create({ id: newId() });
    const token = await auth.mint(apiKey, id, { as: "user:alice", ttl: 1 });
    const { session, seqs, errors } = watched(client().session({ token }));
    await eventually("the tail has ended", () => session.status === "ended");
    await eventually(
      "calls are refused as well",
      async () => (await auth.as(token).events(id)).status === 401,
    );
    await expect(session.append({ text: "Hello!" })).rejects.toMatchObject({
      code: "unauthorized",
      status: 401,
    });
    expect(session.snapshot()).toMatchObject({
      status: "ended",
      error: { code: "invalid_token" },
      outbox: { state: "paused", pending: 1, error: { code: "unauthorized" } },
    });
    await expect(session.append({ text: "Again" })).rejects.toMatchObject({ code: "outbox_paused" });
    expect(errors.map(({ code }) => code)).toEqual(["invalid_token", "unauthorized"]);
    session.resume({ token: await auth.mint(apiKey, id, { as: "user:alice" }) });
    await eventually("it came after all", () => seqs.length === 1);
    expect(session.snapshot()).toMatchObject({ status: "live", outbox: { state: "empty" } });
  });

  test("refreshToken that fails is asked again; one that gives null ends it", async () => {
    const id = await api.create({ id: newId() });
    let asked = 0;
    const refreshToken = async (): Promise<string> => {
      if (++asked < 3) throw new Error("the backend is down");
      return auth.mint(apiKey, id);
    };
    const first = watched(client().session({ token: await auth.mint(apiKey, id, { ttl: 1 }), refreshToken }));
    await eventually("it is live with another", () => asked === 3 && first.session.status === "live");
    expect(first.errors.map(({ code, retryable }) => [code, retryable])).toEqual([
      ["network_error", true],
      ["network_error", true],
    ]);
    const token = await auth.mint(apiKey, id, { ttl: 1 });
    const second = watched(client().session({ token, refreshToken: () => Promise.resolve(null) }));
    await eventually("it has ended", () => second.session.status === "ended");
  });

  test("whose key was revoked, with no other to be had, ends what hangs on it", async () => {
    const { key, id: keyId } = await auth.key();
    const id = await api.create({ id: newId() });
    const told = watched(client().session({ token: await auth.mint(key, id) }));
    await eventually("it is live", () => told.session.status === "live");
    await runDaybook(["keys", "revoke", keyId, "--data-dir", auth.dataDir]);
    await eventually("it has ended", () => told.session.status === "ended");
    expect(told.session.snapshot().error).toMatchObject({ code: "unauthorized" });
  });

  test("of one session does not keep the others of the same client from their events", async () => {
    const ids = await Promise.all([1, 2, 3].map(() => api.create({ id: newId() })));
    const daybook = client();
    const tokens = await Promise.all(
      ids.map((id, index) => auth.mint(apiKey, id, { ttl: index === 0 ? 1 : 60 })),
    );
    const told = tokens.map((token) => watched(daybook.session({ token })));
    await eventually("the first has ended", () => told[0]?.session.status === "ended");
    await Promise.all(ids.map((id) => api.append(id, eventBody(1))));
    await eventually("the others go on", () => told[1]?.seqs.length === 1 && told[2]?.seqs.length === 1);
    expect(told[0]?.seqs).toEqual([]);
  });

  test("is minted anew with the API key, where there is one", async () => {
    let minted = 0;
    // Tokens that have ended before they arrive, but for the second.
    const expired = await auth.token({ sub: "agent:drafter", iat: 1, exp: 2 });
    const fetchExpired: NonNullable<DaybookOptions["fetch"]> = async (url, init) => {
      if (!url.endsWith("/session-tokens") || ++minted === 2) return fetch(url, init);
      return new Response(JSON.stringify({ token: expired, expires_in: 1 }));
    };
    const daybook = client({ apiKey, fetch: fetchExpired });
    const session = await daybook.session({ identity: daybook.agent({ id: "drafter" }) });
    expect(await session.append({ text: "one" })).toMatchObject({ seq: 1 });
    expect(minted).toBe(2);
    expect((await api.events(session.id)).json.events).toMatchObject([{ actor: "agent:drafter" }]);
  });
});

describe("what is refused", () => {
  const bound = async (): Promise<Session> => {
    const id = await api.create({ id: newId() });
    return client().session({ token: await auth.mint(apiKey, id, { as: "user:alice" }) });
  };
  const large = { text: "x".repeat(1_100_000) };

  test("rejects its own append and pauses the rest, until it is discarded", async () => {
    const session = await bound();
    const told = watched(session);
    const refused = session.append(large);
    const behind = session.append({ text: "behind" });
    await expect(refused).rejects.toMatchObject({
      code: "event_too_large",
      status: 413,
      mayHaveHappened: false,
    });
    expect(session.snapshot().outbox).toMatchObject({
      state: "paused",
      pending: 2,
      error: { code: "event_too_large" },
    });
    await expect(session.append({ text: "more" })).rejects.toMatchObject({ code: "outbox_paused" });
    session.discard();
    expect(await within("the rest went on", behind)).toMatchObject({ seq: 1 });
    expect(await session.append({ text: "more" })).toMatchObject({ seq: 2 });
    expect(told.errors.map(({ code }) => code)).toEqual(["event_too_large"]);
  });

  test("is found among those it was sent with; those before it are written", async () => {
    const session = await bound();
    const appends = [{ text: "1" }, { text: "2" }, large, { text: "4" }].map((input) =>
      session.append(input),
    );
    const settled = appends
      .slice(0, 3)
      .map((append) => append.catch((error: unknown) => (error as DaybookError).code));
    expect(await Promise.all(settled)).toEqual([
      { seq: 1, deduped: false },
      { seq: 2, deduped: false },
      "event_too_large",
    ]);
    session.discard("all");
    await expect(appends[3]).rejects.toMatchObject({ code: "discarded" });
    expect(session.snapshot().outbox).toEqual({ state: "empty", pending: 0 });
    expect(await session.append({ text: "5" })).toMatchObject({ seq: 3 });
  });

  test("is tried again with resume()", async () => {
    const id = newId();
    const token = await auth.mint(apiKey, id, { as: "user:alice" });
    const session = client().session({ token });
    await expect(session.append({ text: "too early" })).rejects.toMatchObject({ code: "session_not_found" });
    await api.create({ id });
    session.resume();
    await within("it went out", session.flushed());
    expect((await api.events(id)).json.events).toMatchObject([{ payload: { text: "too early" } }]);
  });

  test("appends that wait for a session that is deleted meanwhile are refused, and the tail ends", async () => {
    const id = await api.create({ id: newId() });
    let isDown = false;
    const daybook = client({
      fetch: (url, init) => (isDown ? Promise.reject(new TypeError("fetch failed")) : fetch(url, init)),
    });
    const told = watched(daybook.session({ token: await auth.mint(apiKey, id, { as: "user:alice" }) }));
    const { session } = told;
    await session.append({ text: "one" });
    await eventually("it is live", () => session.status === "live");
    const following = (async () => {
      for await (const { seq } of session.events()) expect(seq).toBe(1);
    })();
    following.catch(() => undefined);
    isDown = true;
    const waiting = [session.append({ text: "two" }), session.append({ text: "three" })];
    for (const append of waiting) append.catch(() => undefined);
    await eventually("it has been tried", () => session.snapshot().outbox.state === "retrying");
    await api.call("DELETE", `/v1/sessions/${id}`);
    await eventually("the tail has ended", () => session.status === "ended");
    await expect(within("the loop ended", following)).rejects.toMatchObject({ code: "session_not_found" });
    isDown = false;
    await expect(within("it was refused", waiting[0]!)).rejects.toMatchObject({ code: "session_not_found" });
    expect(session.snapshot().outbox).toMatchObject({ state: "paused", pending: 2 });
    session.discard("all");
    await expect(waiting[1]).rejects.toMatchObject({ code: "discarded" });
    await expect(session.append({ text: "four" })).rejects.toMatchObject({ code: "session_not_found" });
  });

  test("a closed session rejects what it could not send, and takes no more", async () => {
    const session = await bound();
    await expect(session.append(large)).rejects.toMatchObject({ code: "event_too_large" });
    await session.close();
    await expect(session.append({ text: "late" })).rejects.toMatchObject({ code: "closed" });
    expect(session.status).toBe("closed");
  });

  test("neither text nor payload, or both, is a mistake of the caller", async () => {
    const session = await bound();
    await expect(session.append({})).rejects.toThrow(TypeError);
    await expect(session.append({ text: "a", payload: {} })).rejects.toThrow(TypeError);
    expect(await session.appendAll([])).toEqual([]);
  });

  test("a token that is none, or for no session, is refused at once", async () => {
    const daybook = client();
    expect(() => daybook.session({ token: "nonsense" })).toThrow(
      expect.objectContaining({ code: "invalid_token" }),
    );
    const service = await auth.token();
    expect(() => daybook.session({ token: service })).toThrow(
      expect.objectContaining({ code: "invalid_token" }),
    );
  });
});
