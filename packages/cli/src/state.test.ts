import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningServer, readSettings, serve } from "@daybook/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ran, runCli, type RunOptions } from "./run-cli.test.support.js";
import { indentJson } from "./render-state.js";

let server: RunningServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "daybook-state-"));
  const flags = {
    port: 0,
    opsPort: 0,
    grpcPort: "off",
    store: "memory",
    logLevel: "silent",
    reserveBytes: 0,
  };
  server = await serve(readSettings(flags, {}));
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function daybook(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runCli(args, { ...options, env: { DAYBOOK_BASE_URL: server.url, ...options.env } });
}

const state = (...args: string[]): Promise<Ran> => daybook(["state", ...args]);

async function post(path: string, body: object | string): Promise<Record<string, unknown>> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
}

let agents = 0;
/** An agent that no other test uses. */
const newAgent = (): string => `agent ${++agents}`;

/** Commits operations; answers the commit_ts. */
async function commit(agent: string, ...operations: object[]): Promise<number> {
  const whole = operations.map((operation) => ({ agent_id: agent, ...operation }));
  return (await post("/v1/state/transactions", { operations: whole }))["commit_ts"] as number;
}

describe("daybook state", () => {
  it("lists keys: all of them, by prefix, as of a commit, a few", async () => {
    const agent = newAgent();
    const many = Array.from({ length: 1_200 }, (_, index) => ({ key: `k${10_000 + index}`, value: {} }));
    const at = await commit(agent, ...many, { key: "memory:1", value: {} });
    await commit(agent, { key: "memory:1", delete: true }, { key: "memory:2", value: {} });
    expect((await state("keys", agent)).stdout.split("\n")).toHaveLength(1_202);
    expect((await state("keys", agent, "--prefix", "memory:")).stdout).toBe("memory:2\n");
    expect((await state("keys", agent, "--prefix", "memory:", "--at", String(at))).stdout).toBe("memory:1\n");
    expect((await state("keys", agent, "--limit", "2")).stdout).toBe("k10000\nk10001\n");
    expect((await state("keys", agent, "--limit", "1", "--json")).stdout).toBe(
      `{"key":"k10000","version":1,"commit_ts":${at}}\n`,
    );
    expect(await state("keys", "nobody")).toMatchObject({ stdout: "", exitCode: 0 });
  });

  it("shows a value, indented, with its numbers and texts as they are", async () => {
    const agent = newAgent();
    const key = "../a b/é";
    const value = '{"n":12345678901234567890,"f":1.0,"list":[1,{"a":[]}],"t":"a, {b}: \\"\\\\","o":{}}';
    const operation = `{"agent_id":${JSON.stringify(agent)},"key":${JSON.stringify(key)},"value":${value}}`;
    await post("/v1/state/transactions", `{"operations":[${operation}]}`);
    expect((await state("get", agent, key)).stdout).toBe(
      '{\n  "n": 12345678901234567890,\n  "f": 1.0,\n  "list": [\n    1,\n    {\n      "a": []\n    }\n  ],\n' +
        '  "t": "a, {b}: \\"\\\\",\n  "o": {}\n}\n',
    );
    expect((await state("get", agent, key, "--json")).stdout).toContain(`"version":1,`);
    await commit(agent, { key, delete: true });
    expect(await state("get", agent, key)).toMatchObject({ exitCode: 3, stdout: "" });
    expect((await state("get", agent, key)).stderr).toContain("state_key_not_found (404)");
    expect((await state("get", agent, key, "--version", "2")).stdout).toBe("(deleted)\n");
    expect((await state("get", agent, key, "--version", "1")).stdout).toContain("12345678901234567890");
    expect(await state("get", agent, key, "--at", "0")).toMatchObject({ exitCode: 3 });
    expect(await state("get", "..", key)).toMatchObject({ exitCode: 2 });
    expect(await state("get", agent, key, "--namespace", "other")).toMatchObject({ exitCode: 3 });
  });

  it("lets no value drive the terminal", () => {
    expect(indentJson('{"a":"\u009b31m"}')).toBe('{\n  "a": "\\x9b31m"\n}');
  });

  it("shows every version of a key", async () => {
    const agent = newAgent();
    const stamps: number[] = [];
    for (let index = 1; index <= 250; index++)
      stamps.push(await commit(agent, { key: "k", value: { index } }));
    const last = await commit(agent, { key: "k", delete: true });
    const lines = (await state("history", agent, "k")).stdout.trimEnd().split("\n");
    expect(lines[0]).toBe(`v1  commit ${stamps[0] ?? 0}  {"index":1}`);
    expect(lines[250]).toBe(`v251  commit ${last}  (deleted)`);
    expect(lines).toHaveLength(251);
    const json = (await state("history", agent, "k", "--limit", "1", "--json")).stdout;
    expect(JSON.parse(json)).toEqual({
      ...{ key: "k", version: 1, commit_ts: stamps[0], deleted: false, value: { index: 1 } },
    });
  });

  it("shows the versions of keys that no path can carry", async () => {
    const agent = newAgent();
    for (const key of [".", "..", "diff", "a/history", "%2E"]) {
      const [first, last] = [
        await commit(agent, { key, value: {} }),
        await commit(agent, { key, delete: true }),
      ];
      expect((await state("history", agent, key)).stdout).toBe(
        `v1  commit ${first}  {}\nv2  commit ${last}  (deleted)\n`,
      );
      expect((await state("history", agent, key, "--limit", "1")).stdout).toBe(`v1  commit ${first}  {}\n`);
    }
    expect(await state("history", agent, "none")).toMatchObject({ stdout: "", exitCode: 0 });
  });

  it("shows what changed between two points", async () => {
    const agent = newAgent();
    const from = await commit(agent, { key: "gone", value: { n: 1 } }, { key: "k", value: { n: 1 } });
    const to = await commit(
      ...[agent, { key: "gone", delete: true }, { key: "k", value: { n: 2 } }, { key: "new", value: {} }],
    );
    const range = ["--from", String(from), "--to", String(to)];
    expect((await state("diff", agent, ...range)).stdout).toBe(
      '- gone v1 {"n":1}\n~ k\n    v1 {"n":1}\n    v2 {"n":2}\n+ new v1 {}\n',
    );
    expect((await state("diff", agent, ...range, "--prefix", "n")).stdout).toBe("+ new v1 {}\n");
    expect((await state("diff", agent, "--from", String(to))).stdout).toBe("");
    expect(JSON.parse((await state("diff", agent, ...range, "--json")).stdout)).toHaveProperty("changed");
    expect(await state("diff", agent, "--from", "999999")).toMatchObject({ exitCode: 3 });
  });

  it("takes each agent's namespace, and a time for a point", async () => {
    const agent = newAgent();
    const value = { of: "team" };
    const first = await commit(agent, { namespace: "team", key: "k", value });
    const last = await commit(agent, { namespace: "team", key: "l", value: {} }, { key: "k", value: {} });
    const team = async (command: string, ...args: string[]): Promise<string> =>
      (await state(command, agent, ...args, "--namespace", "team")).stdout;
    expect(await team("keys")).toBe("k\nl\n");
    expect(await team("get", "k", "--json")).toContain(`"commit_ts":${first}`);
    expect(await team("history", "k")).toBe(`v1  commit ${first}  {"of":"team"}\n`);
    expect(await team("diff", "--from", String(first))).toBe("+ l v1 {}\n");
    expect(await team("replay")).toContain(`commit ${last}`);
    expect(await team("replay", "--json")).not.toContain('"key":"k","version":1,"deleted":false,"value":{}');
    expect(await team("tail", "-n", "1", "--no-follow")).toContain("  l v1 {}");
    expect(await team("inspect", "--at", String(first), "--prefix", "k")).toMatch(
      /: 1 key, 1 version, 13 bytes\n/,
    );
    expect(await team("dump", "--at", String(first))).toBe(
      `{"daybook_state_dump":1,"namespace":"team","agent_id":"${agent}","commit_ts":${first}}\n` +
        `{"key":"k","value":{"of":"team"}}\n`,
    );
    expect(await team("keys", "--at", "2000-01-01T00:00:00Z")).toBe("");
    expect(await team("keys", "--at", "2100-01-01T00:00:00+02:00")).toBe("k\nl\n");
    expect(await state("keys", agent, "--at", "2100-01-01")).toMatchObject({ exitCode: 3 });
  });

  it("inspects an agent", async () => {
    const agent = newAgent();
    await commit(agent, { key: "k", value: { n: 1 } }, { key: "k", value: { n: 22 } });
    const at = await commit(agent, { key: "longer", value: {} });
    expect((await state("inspect", agent)).stdout).toBe(
      `${agent} in default, as of commit ${at}: 2 keys, 3 versions, 10 bytes\n` +
        `VERSION  COMMIT  BYTES  KEY\n2        ${at - 1}${" ".repeat(8 - String(at - 1).length)}8      k\n` +
        `1        ${at}${" ".repeat(8 - String(at).length)}2      longer\n`,
    );
    expect(JSON.parse((await state("inspect", agent, "--json")).stdout)).toMatchObject({
      keys: 2,
      bytes: 10,
    });
  });

  it("replays transactions between bounds", async () => {
    const agent = newAgent();
    const stamps: number[] = [];
    for (let index = 0; index < 4; index++) {
      stamps.push(await commit(agent, { key: "k", value: { index } }, { key: "l", delete: true }));
      await commit("somebody else", { key: "k", value: {} });
    }
    const commits = async (...args: string[]): Promise<number[]> => {
      const { stdout } = await state("replay", agent, "--json", ...args);
      return stdout
        .split("\n")
        .flatMap((line) => (line === "" ? [] : [(JSON.parse(line) as { commit_ts: number }).commit_ts]));
    };
    expect(await commits()).toEqual(stamps);
    expect(await commits("--start-ts", String(stamps[1]), "--end-ts", String(stamps[2]))).toEqual(
      stamps.slice(1, 3),
    );
    expect(await commits("--limit", "3")).toEqual(stamps.slice(0, 3));
    expect(await commits("--end-ts", "0")).toEqual([]);
    const { stdout } = await state("replay", agent, "--limit", "1");
    expect(stdout).toMatch(
      new RegExp(
        `^commit ${stamps[0] ?? 0}  \\S+Z  service:default  txn_\\S+\\n  k v1 {"index":0}\\n  l v1 \\(deleted\\)\\n$`,
      ),
    );
    expect((await state("replay", agent, "--limit", "1", "--verbose")).stdout).toContain(
      '    {\n      "index": 0\n    }',
    );
    expect(await state("replay", "nobody")).toMatchObject({ stdout: "", exitCode: 0 });
  });

  it("shows the newest transactions and follows, until a signal", async () => {
    const agent = newAgent();
    const first = await commit(agent, { key: "k", value: { n: 0 } });
    // Far back, behind what others did.
    await Promise.all(Array.from({ length: 600 }, () => commit("somebody else", { key: "k", value: {} })));
    for (let n = 1; n <= 3; n++) await commit(agent, { key: "k", value: { n } });
    const shown = (await state("tail", agent, "-n", "4", "--no-follow", "--json")).stdout
      .trimEnd()
      .split("\n");
    expect(shown).toHaveLength(4);
    expect(JSON.parse(shown[0] ?? "")).toMatchObject({ commit_ts: first });
    expect((await state("tail", agent, "-n", "0", "--no-follow")).stdout).toBe("");
    let asked = 0;
    const ran = await daybook(["state", "tail", agent, "-n", "2", "--json"], {
      onOutput: ({ text }, raise) => {
        const lines = text.split("\n").length - 1;
        if (lines === 2 && asked++ === 0) void commit(agent, { key: "k", value: { n: 4 } });
        if (lines === 3) raise("SIGINT");
      },
    });
    expect(ran.exitCode).toBe(130);
    const values = ran.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { operations: { value: object }[] });
    expect(values.map(({ operations }) => operations[0]?.value)).toEqual([{ n: 2 }, { n: 3 }, { n: 4 }]);
  });

  it("dumps a state as of any point, and restores it to another agent, text by text", async () => {
    const [agent, copy] = [newAgent(), newAgent()];
    const value = '{"n":1.0,"big":12345678901234567890}';
    const many = Array.from(
      { length: 1_100 },
      (_, index) => `{"agent_id":"${agent}","key":"k${index}","value":${value}}`,
    );
    await post("/v1/state/transactions", `{"operations":[${many.join(",")}]}`);
    const file = join(folder, "state.ndjson");
    const dumped = await state("dump", agent, "-o", file);
    expect(dumped).toMatchObject({ exitCode: 0, stdout: "" });
    expect(dumped.stderr).toContain("1,100 records");
    expect(await readdir(folder)).toEqual(["state.ndjson"]);
    const restored = await state("restore", file, "--agent", copy, "--namespace", "copies");
    expect(restored.stdout).toBe(`1,100 records of ${copy} are restored\n`);
    const strip = (text: string): string => text.slice(text.indexOf("\n"));
    const again = await state("dump", copy, "--namespace", "copies");
    expect(strip(again.stdout)).toBe(strip(await readFile(file, "utf8")));
    await commit(agent, { key: "k0", delete: true });
    expect((await state("dump", agent)).stdout.split("\n")).toHaveLength(1_101);
    const piped = await daybook(["state", "restore", "--json"], { stdin: await readFile(file) });
    expect(JSON.parse(piped.stdout)).toEqual({ namespace: "default", agent_id: agent, records: 1_100 });
    expect((await state("dump", agent, "--prefix", "k0")).stdout).toContain(value);
  });

  it("restores nothing of what is no dump, and says where", async () => {
    for (const [text, why] of [
      ["", "the input is empty"],
      ["{}\n", "line 1 is not the beginning"],
      ['{"daybook_state_dump":2}\n', "line 1 is of dump format 2"],
      ['{"daybook_state_dump":1}\n', "line 1 names no agent"],
      [
        '{"daybook_state_dump":1,"namespace":"n","agent_id":"a"}\n{"key":"k"}\n',
        "line 2 has no key or no value",
      ],
      ['{"daybook_state_dump":1,"namespace":"n","agent_id":"a"}\nnonsense\n', "line 2 is not JSON"],
    ]) {
      const ran = await daybook(["state", "restore"], { stdin: text ?? "" });
      expect(ran.exitCode).toBe(1);
      expect(ran.stderr).toContain(why);
    }
    const bad = join(folder, "bad.ndjson");
    await writeFile(bad, '{"daybook_state_dump":1,"namespace":"n","agent_id":"a"}\n{"key":"k","value":[]}\n');
    expect(await state("restore", bad)).toMatchObject({ exitCode: 3 });
    expect(await state("restore", join(folder, "none"))).toMatchObject({ exitCode: 1 });
    await rm(bad);
  });

  it("says how the service is, and which", async () => {
    expect((await state("health")).stdout).toBe("ok\n");
    expect((await state("health", "--json")).stdout).toBe('{"status":"ok"}\n');
    expect((await state("version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const ran = await daybook(["state", "health"], { env: { DAYBOOK_BASE_URL: "http://127.0.0.1:1" } });
    expect(ran.exitCode).toBe(4);
  });
});

describe("daybook diff", () => {
  it("shows what changed in a session's state", async () => {
    await post("/v1/sessions", { id: "s" });
    const append = (seq: number, change: object): Promise<unknown> =>
      post("/v1/sessions/s/append", {
        ...{ type: "t", payload: {}, producer_id: "p", producer_seq: seq, state: change },
      });
    await append(1, { set: { plan: "a", gone: 1 } });
    await append(2, { set: { plan: "b", new: [1] }, delete: ["gone"] });
    expect((await daybook(["diff", "s", "--from", "1", "--to", "2"])).stdout).toBe(
      '- gone v1 1\n+ new v1 [1]\n~ plan\n    v1 "a"\n    v2 "b"\n',
    );
    expect((await daybook(["diff", "s", "--to", "1", "--prefix", "plan"])).stdout).toBe('+ plan v1 "a"\n');
    expect(JSON.parse((await daybook(["diff", "s", "--json"])).stdout)).toHaveProperty("added");
    expect(await daybook(["diff", "none"])).toMatchObject({ exitCode: 3 });
  });
});
