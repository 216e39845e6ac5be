import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ran, runCli } from "./run-cli.test.support.js";

let dataDir = "";
beforeAll(async () => (dataDir = await mkdtemp(join(tmpdir(), "daybook-keys-test-"))));
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const daybook = (...args: string[]): Promise<Ran> => runCli(args, { env: { DAYBOOK_DATA_DIR: dataDir } });

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;

interface Shown {
  readonly id: string;
  readonly key: string;
  readonly tenant: string;
  readonly state: string;
  readonly scopes: readonly string[];
}

const create = async (...more: string[]): Promise<Shown> =>
  JSON.parse((await daybook("keys", "create", "--tenant", "acme", "--json", ...more)).stdout) as Shown;

describe("daybook keys", () => {
  it("create prints the key alone on stdout, and what it is on stderr", async () => {
    const { exitCode, stdout, stderr } = await daybook(
      "keys",
      "create",
      "--tenant",
      "acme",
      "--name",
      "backend",
    );
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toMatch(/^daybook: key_\S+ for acme, good until \d{4}-/);
    expect(claimsOf(stdout)).toMatchObject({
      tenant_id: "acme",
      sub: "service:backend",
      iss: "http://127.0.0.1:4000",
    });
  });

  it("create takes scopes with commas or one by one, a time to live and a public URL", async () => {
    const { key, scopes } = await create(
      ...["--scopes", "session:read,session:append", "--scopes", "session:create"],
      ...["--ttl", "90d", "--public-url", "https://daybook.example.com/"],
    );
    expect(scopes).toEqual(["session:read", "session:append", "session:create"]);
    const { exp, iat, iss } = claimsOf(key);
    expect(Number(exp) - Number(iat)).toBe(90 * 24 * 3600);
    expect(iss).toBe("https://daybook.example.com");
  });

  it("list shows what is known of keys, and their state; revoke ends one", async () => {
    const { id } = await create("--name", "listed");
    expect((await daybook("keys", "list")).stdout).toMatch(
      new RegExp(`${id} +acme +listed +active +session:create,`),
    );
    expect((await daybook("keys", "revoke", id)).stdout).toBe(`revoked ${id}\n`);
    const listed = JSON.parse((await daybook("keys", "list", "--json")).stdout) as Shown[];
    expect(listed.find((key) => key.id === id)).toMatchObject({ state: "revoked", tenant: "acme" });
    expect((await daybook("keys", "revoke", id, "--json")).stdout).toContain('"state":"revoked"');
  });

  it("rotate signs with a new key from now on", async () => {
    const before = (await create()).key;
    const { stdout } = await daybook("keys", "rotate", "--json");
    const { kid } = JSON.parse(stdout) as { kid: string };
    const header = (key: string): string => Buffer.from(key.split(".")[0] ?? "", "base64url").toString();
    expect(header(before)).not.toContain(kid);
    expect(header((await create()).key)).toContain(kid);
  });

  it.each([
    [["create"], 2, "required option '--tenant"],
    [["create", "--tenant", "a/b"], 2, "The tenant must not contain /"],
    [["create", "--tenant", "a", "--scopes", "everything"], 2, "There is no scope everything"],
    [["create", "--tenant", "a", "--ttl", "soon"], 2, "It must be like 90d"],
    [["create", "--tenant", "a", "--ttl", "0d"], 2, "It must be like 90d"],
    [["create", "--tenant", "a", "--public-url", "daybook.example.com"], 2, "--public-url must be like"],
    [["revoke", "key_nobody"], 1, "There is no key key_nobody"],
    [["revoke"], 2, "missing required argument"],
    [["list", "--data-dir", "/nonexistent/here"], 1, "there is no data folder"],
  ])("%j exits with %i and says why", async (args, code, why) => {
    const { exitCode, stdout, stderr } = await daybook("keys", ...args);
    expect([exitCode, stdout]).toEqual([code, ""]);
    expect(stderr).toContain(why);
  });
});

describe("daybook token", () => {
  it("prints a session token of a user or an agent; a bare name is an agent's", async () => {
    const { exitCode, stdout } = await daybook(
      "token",
      "--tenant",
      "acme",
      "--session",
      "ses_1",
      "--as",
      "drafter",
    );
    expect(exitCode).toBe(0);
    const claims = claimsOf(stdout);
    expect(claims).toMatchObject({
      tenant_id: "acme",
      session_id: "ses_1",
      sub: "agent:drafter",
      scopes: ["session:read", "session:append"],
    });
    expect(Number(claims["exp"]) - Number(claims["iat"])).toBe(3600);
  });

  it("is of the tenant default unless told otherwise, with --scopes and --ttl as told, and JSON if wanted", async () => {
    const args = [
      "token",
      "--session",
      "s",
      "--as",
      "user:alice",
      "--scopes",
      "session:read",
      "--ttl",
      "5m",
      "--json",
    ];
    const { token, expires_in: seconds } = JSON.parse((await daybook(...args)).stdout) as {
      token: string;
      expires_in: number;
    };
    expect(seconds).toBe(300);
    expect(claimsOf(token)).toMatchObject({
      tenant_id: "default",
      sub: "user:alice",
      scopes: ["session:read"],
    });
  });

  it.each([
    [["--as", "agent:a"], "required option '--session"],
    [["--session", "s"], "required option '--as"],
    [["--session", "s", "--as", "service:x"], "--as must be agent:NAME or user:NAME"],
    [["--session", "a/b", "--as", "agent:a"], "session_id must not contain /"],
    [["--session", "s", "--as", "agent:a", "--ttl", "8d"], "ttl_seconds"],
    [["--session", "s", "--as", "agent:a", "--scopes", "session:create"], "scopes"],
  ])("%j is wrong usage", async (args, why) => {
    const { exitCode, stderr } = await daybook("token", ...args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(why);
  });
});
