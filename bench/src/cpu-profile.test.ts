import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type CpuProfile, partTimes, takeProfile } from "./cpu-profile.js";
import { BenchServer } from "./http-server.js";

const NONE = { sockets: 0, http: 0, framework: 0, own: 0, store: 0, memory: 0, rest: 0 };

/** One sample of 10 µs at the end of each stack, which is told from the root down as `function @ file`. */
function profileOf(...stacks: readonly (readonly string[])[]): CpuProfile {
  const nodes: { id: number; callFrame: { functionName: string; url: string }; children: number[] }[] = [];
  const samples = stacks.map((stack) => {
    for (const [depth, frame] of stack.entries()) {
      const [functionName = "", url = ""] = frame.split(" @ ");
      if (depth > 0) nodes.at(-1)?.children.push(nodes.length + 1);
      nodes.push({ id: nodes.length + 1, callFrame: { functionName, url }, children: [] });
    }
    return nodes.length;
  });
  // The last sample says where the one before it ended.
  return {
    nodes,
    startTime: 1_000,
    samples: [...samples, samples[0] ?? 0],
    timeDeltas: [0, ...stacks.map(() => 10)],
  };
}

function timesOf(...stacks: readonly (readonly string[])[]): object {
  return partTimes(profileOf(...stacks), 0, 1_000 + stacks.length * 10);
}

const FASTIFY = "send @ file:///app/node_modules/fastify/lib/reply.js";
const STORE = "commit @ file:///app/packages/engine-embedded/dist/log-writer.js";

describe("what a thread is busy with", () => {
  it("is told by the nearest caller whose code it is", () => {
    expect(timesOf(["(root)", STORE, "write @ node:fs", "writeBuffer"])).toEqual({ ...NONE, store: 10 });
    expect(timesOf(["(root)", STORE, FASTIFY])).toEqual({ ...NONE, framework: 10 });
    expect(
      timesOf([FASTIFY, "read @ file:///app/packages/protocol/dist/parse-json.js", "slice @ node:buffer"]),
    ).toEqual({ ...NONE, own: 10 });
    expect(timesOf([FASTIFY, "end @ node:_http_outgoing", "emit @ node:events"])).toEqual({
      ...NONE,
      http: 10,
    });
  });

  it("is a socket's call where Node makes one for an answer, and the store's where a database's client does", () => {
    const calls = ["_write @ node:net", "writev"];
    expect(timesOf([FASTIFY, "end @ node:_http_outgoing", ...calls])).toEqual({ ...NONE, sockets: 10 });
    const client = "sendCommand @ file:///app/node_modules/ioredis/built/Redis.js";
    expect(timesOf([FASTIFY, client, ...calls])).toEqual({ ...NONE, store: 10 });
  });

  it("leaves out when it is idle, and keeps garbage and what is nobody's apart", () => {
    expect(timesOf(["(root)", "(idle)"], ["(root)", "(garbage collector)"], ["(root)", "(program)"])).toEqual(
      {
        ...NONE,
        memory: 10,
        rest: 10,
      },
    );
  });

  it("counts what lies between two moments only", () => {
    const profile = profileOf([FASTIFY], [FASTIFY], [FASTIFY]);
    expect(partTimes(profile, 1_010, 1_020)).toEqual({ ...NONE, framework: 10 });
  });
});

it("takes the one profile of a folder away", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daybook-profile-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const profile = profileOf([FASTIFY]);
  await writeFile(join(folder, "CPU.1.cpuprofile"), JSON.stringify(profile));
  expect(await takeProfile(folder)).toEqual(profile);
  await expect(takeProfile(folder)).rejects.toThrow("not 0");
});

it("names the files of a server of ours, by which its parts are told apart", async () => {
  const profileDir = await mkdtemp(join(tmpdir(), "daybook-profile-"));
  onTestFinished(() => rm(profileDir, { recursive: true }));
  await using server = await BenchServer.start({ profileDir });
  await server.end("SIGTERM");
  const files = (await takeProfile(profileDir)).nodes.map(({ callFrame }) => callFrame.url);
  for (const part of ["/packages/engine-embedded/", "/packages/server/", "/node_modules/fastify/"])
    expect(files.filter((file) => file.includes(part))).not.toEqual([]);
});
