import { describe, expect, it } from "vitest";
import { apiKeyClaims } from "./actor-tokens.js";
import { runCli } from "./run-cli.test.support.js";
import { StubServer } from "./stub-server.test.support.js";

const jwt = (claims: object): string =>
  ["{}", JSON.stringify(claims), "signature"]
    .map((part) => Buffer.from(part).toString("base64url"))
    .join(".");

const apiKey = (iss: string, more: object = {}): string =>
  jwt({ iss, sub: "service:backend", tenant_id: "acme", ...more });

interface Exchange {
  readonly session_id: string;
  readonly principal: { readonly type: string; readonly id: string };
  readonly scopes: readonly string[];
}

/** A stub that hands out tokens: "token-1", "token-2" … */
async function tokenServer(expiresIn = 3_600): Promise<{ server: StubServer; exchanges: Exchange[] }> {
  const server = await StubServer.start();
  const exchanges: Exchange[] = [];
  let asked = 0;
  server.intercept = (method, url) => {
    if (method !== "POST" || url !== "/api/v1/session-tokens") return undefined;
    exchanges.push(JSON.parse(server.requests.at(-1)?.body ?? "{}") as Exchange);
    return { status: 200, body: { token: `token-${++asked}`, expires_in: expiresIn } };
  };
  return { server, exchanges };
}

const sentWith = (server: StubServer, path: string): (string | undefined)[] =>
  server.requests.filter(({ url }) => url.endsWith(path)).map(({ headers }) => headers.authorization);

describe("an API key", () => {
  it("is told from other tokens by its claims, which are read and not verified", () => {
    expect(apiKeyClaims(apiKey("https://d.example/base"))).toEqual({ origin: "https://d.example" });
    expect(apiKeyClaims(apiKey("not a url"))).toEqual({ origin: undefined });
    for (const sub of ["svc:x", "org:y"]) expect(apiKeyClaims(jwt({ sub }))).toBeDefined();
    for (const token of [
      undefined,
      "opaque",
      "a.b.c",
      jwt({ sub: "user:alice" }),
      jwt({ sub: "agent:a" }),
      jwt({}),
      apiKey("https://d.example", { session_id: "s" }),
    ])
      expect(apiKeyClaims(token)).toBeUndefined();
  });

  it("is exchanged for a token of the actor, with which the append is sent", async () => {
    const { server, exchanges } = await tokenServer();
    await using _ = server;
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: apiKey(server.url) };
    for (const actor of [["--agent", "drafter"], ["--user", "alice"], []]) {
      const { exitCode, stderr } = await runCli(["append", "s", ...actor, "--text", "hi"], { env });
      expect([exitCode, stderr]).toEqual([0, ""]);
    }
    expect(exchanges.map(({ principal }) => principal)).toEqual([
      { type: "agent", id: "drafter" },
      { type: "user", id: "alice" },
      { type: "agent", id: "starcite-cli" },
    ]);
    expect(exchanges[0]).toMatchObject({ session_id: "s", scopes: ["session:append"] });
    // Created with the key, which may; written with the token.
    expect(sentWith(server, "/v1/sessions")[0]).toBe(`Bearer ${env.DAYBOOK_TOKEN}`);
    expect(sentWith(server, "/append").at(-1)).toBe("Bearer token-3");
    expect(server.eventsOf("s").map(({ actor }) => actor)).toEqual([
      "agent:drafter",
      "user:alice",
      "agent:starcite-cli",
    ]);
  });

  it("is exchanged at the base URL, its path included, whatever server the key names", async () => {
    const [here, there] = [await tokenServer(), await tokenServer()];
    await using _here = here.server;
    await using _there = there.server;
    const env = { DAYBOOK_BASE_URL: here.server.url, DAYBOOK_TOKEN: apiKey(there.server.url) };
    expect(await runCli(["append", "s", "--text", "hi"], { env })).toMatchObject({ exitCode: 0, stderr: "" });
    expect([here.exchanges.length, there.exchanges.length]).toEqual([1, 0]);
    const behind = { ...env, DAYBOOK_BASE_URL: `${here.server.url}/daybook/` };
    await runCli(["append", "s", "--text", "hi"], { env: behind });
    expect(here.server.requests.map(({ url }) => url)).toContain("/daybook/api/v1/session-tokens");
  });

  it("is exchanged at the server it names when there is no token endpoint at the base URL", async () => {
    const there = await tokenServer();
    await using _there = there.server;
    await using here = await StubServer.start();
    here.intercept = (_method, url) =>
      url === "/api/v1/session-tokens"
        ? { status: 404, body: { error: "not_found", message: "No." } }
        : undefined;
    const env = { DAYBOOK_BASE_URL: here.url, DAYBOOK_TOKEN: apiKey(there.server.url) };
    expect((await runCli(["append", "s", "--text", "hi"], { env })).exitCode).toBe(0);
    expect(there.exchanges).toHaveLength(1);
    expect(sentWith(here, "/append").at(-1)).toBe("Bearer token-1");
    const own = { ...env, DAYBOOK_TOKEN: apiKey(here.url) };
    expect((await runCli(["append", "s", "--text", "hi"], { env: own })).stderr).toBe(
      "not_found (404): No.\n",
    );
  });

  it("that may not mint says so, and nothing is written", async () => {
    const server = await StubServer.start();
    await using _ = server;
    server.intercept = (_method, url) =>
      url === "/api/v1/session-tokens"
        ? { status: 403, body: { error: "forbidden_scope", message: "No." } }
        : undefined;
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: apiKey(server.url) };
    const { exitCode, stderr } = await runCli(["append", "s", "--text", "hi"], { env });
    expect([exitCode, stderr]).toEqual([3, "forbidden_scope (403): No.\n"]);
    expect(server.eventsOf("s")).toEqual([]);
    // Nor is a command run that could not be recorded.
    const run = await runCli(["exec", "s", "--as", "builder", "--", "echo", "ran"], { env });
    expect([run.exitCode, run.stdout, run.stderr]).toEqual([3, "", "forbidden_scope (403): No.\n"]);
  });

  it("lasts a long exec: a token is renewed before it ends, and once more when it was refused", async () => {
    // Each is due for renewal at once.
    const { server, exchanges } = await tokenServer(20);
    await using _ = server;
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: apiKey(server.url) };
    const script = "echo one; sleep 0.2; echo two";
    const { exitCode } = await runCli(["exec", "s", "--as", "builder", "--", "sh", "-c", script], { env });
    expect(exitCode).toBe(0);
    expect(exchanges.length).toBeGreaterThan(1);
    // The first was to see that there is one, before the command was run.
    expect(new Set(sentWith(server, "/append")).size).toBe(exchanges.length - 1);
    expect(server.eventsOf("s").map(({ actor }) => actor)).toEqual(Array(4).fill("agent:builder"));
  });

  it("a token that is refused although it should be good is renewed once, and then believed", async () => {
    const { server, exchanges } = await tokenServer();
    await using _ = server;
    const mint = server.intercept;
    let refusals = 1;
    server.intercept = (method, url, body) =>
      url.endsWith("/append") && refusals-- > 0
        ? { status: 401, body: { error: "unauthorized", message: "Expired." } }
        : mint(method, url, body);
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: apiKey(server.url) };
    expect((await runCli(["append", "s", "--text", "hi"], { env })).exitCode).toBe(0);
    expect(exchanges).toHaveLength(2);
    refusals = 100;
    expect((await runCli(["append", "s", "--text", "hi"], { env })).exitCode).toBe(3);
  });

  it("is sent as it is by exec without --as: the service itself writes", async () => {
    const { server, exchanges } = await tokenServer();
    await using _ = server;
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: apiKey(server.url) };
    expect((await runCli(["exec", "s", "--", "true"], { env })).exitCode).toBe(0);
    expect(exchanges).toEqual([]);
    expect(server.eventsOf("s")[0]).not.toHaveProperty("actor");
  });
});

it("a session token is used as it is", async () => {
  const { server, exchanges } = await tokenServer();
  await using _ = server;
  const token = jwt({ sub: "agent:drafter", session_id: "s", iss: server.url });
  const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_TOKEN: token };
  expect((await runCli(["append", "s", "--agent", "drafter", "--text", "hi"], { env })).exitCode).toBe(0);
  expect(exchanges).toEqual([]);
  expect(sentWith(server, "/append")).toEqual([`Bearer ${token}`, `Bearer ${token}`]);
  // Without a name it is whoever the token says: another actor would be refused.
  expect((await runCli(["append", "s", "--text", "hi"], { env })).exitCode).toBe(0);
  expect((await runCli(["append", "s", "--stdin", "--text"], { env, stdin: "hi\n" })).exitCode).toBe(0);
  expect(server.eventsOf("s").map(({ actor }) => actor)).toEqual(["agent:drafter", undefined, undefined]);
  expect(exchanges).toEqual([]);
});
