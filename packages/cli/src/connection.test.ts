import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configFolder, readConfig, writeConfig } from "./config-file.js";
import { checkBaseUrl, chooseConnection, DEFAULT_BASE_URL } from "./connection.js";
import { runCli } from "./run-cli.test.support.js";

const flags = { baseUrl: "http://flag:1", token: "flag-key" };
const env = { DAYBOOK_BASE_URL: "http://env:1", DAYBOOK_TOKEN: "env-key" };
const config = { endpoint: "http://config:1", apiKey: "config-key" };

describe("the connection", () => {
  it.each([
    { from: "flag", options: flags, env, config, baseUrl: "http://flag:1", token: "flag-key" },
    { from: "environment", options: {}, env, config, baseUrl: "http://env:1", token: "env-key" },
    { from: "config", options: {}, env: {}, config, baseUrl: "http://config:1", token: "config-key" },
  ] as const)(
    "comes from the $from when nothing nearer says it",
    ({ from, options, env, config, ...expected }) => {
      expect(chooseConnection(options, env, config)).toEqual({
        ...expected,
        baseUrlFrom: from,
        tokenFrom: from,
      });
    },
  );

  it("falls back to this machine without a key", () => {
    expect(chooseConnection({}, { DAYBOOK_TOKEN: "" }, {})).toEqual({
      baseUrl: DEFAULT_BASE_URL,
      baseUrlFrom: "default",
      token: undefined,
      tokenFrom: undefined,
    });
  });

  it("takes a token without the line end that files have, and refuses what no header can hold", async () => {
    expect(chooseConnection({}, { DAYBOOK_TOKEN: "env-key\n" }, {}).token).toBe("env-key");
    for (const token of ["a\nb", "two words", "ключ", " "]) {
      for (const args of [
        ["sessions", "list", "--token", token],
        ["tail", "s", "--token", token],
      ]) {
        const ran = await runCli(args);
        expect([ran.exitCode, ran.stdout]).toEqual([2, ""]);
        expect(ran.stderr).toMatch(/^daybook: a key or token is one word/);
        expect(ran.stderr).not.toContain(token.trim() === "" ? "\0" : token);
      }
    }
  });

  it("takes URLs with a path, and drops the slash at the end", () => {
    expect(checkBaseUrl("https://host/daybook/")).toBe("https://host/daybook");
  });

  it.each(["localhost:4000", "ftp://host", "http://", "http://host?x=1", "", "http://host/#a"])(
    "refuses the base URL %j",
    (url) => {
      expect(() => checkBaseUrl(url)).toThrow("the base URL must");
    },
  );
});

describe("the config folder", () => {
  it("is the flag's, the environment's, XDG's or the home folder's", () => {
    const all = { DAYBOOK_CONFIG_DIR: "/env", XDG_CONFIG_HOME: "/xdg", HOME: "/home/a" };
    expect(configFolder("/flag", all)).toBe("/flag");
    expect(configFolder(undefined, all)).toBe("/env");
    expect(configFolder(undefined, { ...all, DAYBOOK_CONFIG_DIR: undefined })).toBe("/xdg/daybook");
    expect(configFolder(undefined, { HOME: "/home/a" })).toBe("/home/a/.config/daybook");
  });
});

describe("daybook config", () => {
  it("keeps endpoint and key in a file that only its owner can read", async () => {
    const folder = join(await mkdtemp(join(tmpdir(), "daybook-config-")), "deeper");
    const at = ["--config-dir", folder];
    expect(await runCli(["config", "set", "endpoint", "http://here:1/", ...at])).toMatchObject({
      exitCode: 0,
    });
    expect(
      await runCli(["config", "set", "api-key", "-", ...at], { stdin: "a-key-of-some-length\n" }),
    ).toMatchObject({
      exitCode: 0,
    });
    expect(await readConfig(folder)).toEqual({ endpoint: "http://here:1", apiKey: "a-key-of-some-length" });
    expect((await stat(join(folder, "config.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const shown = await runCli(["config", "show", ...at]);
    expect(shown.stdout).toContain("endpoint  http://here:1  (config)");
    expect(shown.stdout).toContain("****ngth  (config)");
    expect(shown.stdout).not.toContain("a-key-of-some-length");
    const set = await runCli(["config", "set", "endpoint", "http://there:1", "--json", ...at]);
    expect(JSON.parse(set.stdout)).toEqual({ set: "endpoint", file: join(folder, "config.json") });
  });

  it("tightens a file that was readable by others", async () => {
    const folder = await mkdtemp(join(tmpdir(), "daybook-config-"));
    await writeFile(join(folder, "config.json"), "{}", { mode: 0o644 });
    await writeConfig(folder, { apiKey: "k" });
    expect((await stat(join(folder, "config.json"))).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toEqual({ api_key: "k" });
  });

  it("says which file is broken, and how", async () => {
    const folder = await mkdtemp(join(tmpdir(), "daybook-config-"));
    await writeFile(join(folder, "config.json"), '{"endpoint": 1}');
    const { exitCode, stderr } = await runCli(["config", "show", "--config-dir", folder]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe(`daybook: ${join(folder, "config.json")}: endpoint must be a string\n`);
  });

  it("refuses a URL or a key that cannot work", async () => {
    expect(await runCli(["config", "set", "endpoint", "nowhere"])).toMatchObject({ exitCode: 2 });
    expect(await runCli(["config", "set", "api-key", "two words"])).toMatchObject({ exitCode: 2 });
  });
});
