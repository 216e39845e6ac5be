import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SETTINGS } from "@daybook/server/settings";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./run-cli.test.support.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "daybook-serve-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Nothing of these may ever start. */
const serve = (args: readonly string[], env: Record<string, string> = {}) =>
  runCli(["serve", "--data-dir", folder, "--port", "0", "--ops-port", "0", "--grpc-port", "0", ...args], {
    env,
  });

describe("daybook serve", () => {
  it("--help names each setting with its variable, and what holds when it is left out", async () => {
    const { exitCode, stdout } = await runCli(["serve", "--help"]);
    const text = stdout.replace(/\s+/g, " ");
    expect(exitCode).toBe(0);
    for (const { flag, env } of SETTINGS) {
      expect(text).toContain(`${flag} `);
      expect(text).toContain(`env: ${env})`);
    }
    expect(text).toContain("(default: none on loopback, jwt elsewhere, env: DAYBOOK_AUTH)");
    expect(text).toContain("(default: 4000, env: DAYBOOK_PORT)");
    expect(text).toContain("public keys are (env: DAYBOOK_JWKS_URL)");
  });

  it.each([
    [["--auth", "none", "--host", "0.0.0.0"], "--allow-insecure"],
    [["--auth", "jwt", "--jwt-issuer", "https://idp.example"], "go together"],
    [["--port", "70000"], "65535"],
    [["--store", "paper"], "embedded, memory"],
    [["--allow-origin", "app"], "https://app.example.com"],
    [["somewhere"], "too many arguments"],
  ])("%j is wrong usage, and it says what would be right", async (args, hint) => {
    const ran = await serve(args);
    expect([ran.exitCode, ran.stdout]).toEqual([2, ""]);
    expect(ran.stderr).toContain(hint);
  });

  it("takes a flag without a value as yes", async () => {
    const insecure = ["--allow-insecure", "--trust-proxy", "--auth", "none"];
    const ran = await serve([...insecure, "--host", "203.0.113.7"]);
    // It got as far as to listen.
    expect(ran.stderr).toMatch(/^daybook: cannot listen: /);
  });

  it("names the variable that is wrong", async () => {
    const ran = await serve([], { DAYBOOK_REQUEST_SECONDS: "soon" });
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toMatch(/^daybook: DAYBOOK_REQUEST_SECONDS must be a whole number/);
  });

  // /proc takes no folders, and says so in a way that a recursive mkdir never gives up on.
  it.each(
    process.platform === "linux"
      ? ["/proc/daybook-data", "/proc/deep/er/data", "/dev/null", "/dev/null/data"]
      : ["/dev/null", "/dev/null/data"],
  )("says that the folder %s cannot be made, and exits with 1", async (path) => {
    for (const args of [
      ["serve", "--port", "0", "--ops-port", "0", "--data-dir", path],
      ["keys", "create", "--tenant", "acme", "--data-dir", path],
      ["config", "set", "endpoint", "http://127.0.0.1:4000", "--config-dir", path],
    ]) {
      const ran = await runCli(args);
      expect([ran.exitCode, ran.stdout], args.join(" ")).toEqual([1, ""]);
      expect(ran.stderr).toMatch(/^daybook: (.*: )?E(NOENT|NOTDIR|EXIST|ACCES): .*\n$/);
    }
  });

  it("says which address cannot be had, and exits with 1", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    for (const args of [
      ["--port", String(port)],
      ["--ops-port", String(port)],
      ["--grpc-port", String(port)],
      ["--host", "203.0.113.7", "--auth", "jwt"],
    ]) {
      const ran = await serve(args);
      expect([ran.exitCode, ran.stdout]).toEqual([1, ""]);
      expect(ran.stderr).toMatch(/^daybook: cannot listen: .*--port, --ops-port and --grpc-port\n$/);
    }
    taken.close();
  });
});
