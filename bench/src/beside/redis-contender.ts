import { ALL_PROMISED, type ContenderKind } from "./contender.js";
import { findProgram, Program } from "./program.js";
import { type Database, StackContender } from "./stack-contender.js";

/** Redis streams, every write synced before it is answered: one sync for all that came together. */
export const redis: ContenderKind = {
  name: "redis",
  promises: ALL_PROMISED,
  about: async () => `Redis ${await redisVersion()}, appendfsync always, behind fastify`,
  missing: async () =>
    (await findProgram("redis-server")) === undefined ? "redis-server (Debian)" : undefined,
  make: async (profileDir) => StackContender.make("redis", redisDatabase(await redisServer()), profileDir),
};

function redisDatabase(program: string): Database {
  return {
    endSignal: "SIGTERM",
    start: (folder, port) =>
      Program.start(program, [
        ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder],
        // The append-only file is the durable store; snapshots beside it would only cost.
        ...["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
        // Rewriting it would copy what is nearly all still there, in the middle of a measurement.
        ...["--auto-aof-rewrite-percentage", "0"],
      ]),
    front: (port) => ({ database: "redis", url: `redis://127.0.0.1:${port}` }),
  };
}

async function redisServer(): Promise<string> {
  const program = await findProgram("redis-server");
  if (program === undefined) throw new Error("redis-server is not installed");
  return program;
}

async function redisVersion(): Promise<string> {
  return / v=(\S+)/.exec(await Program.run(await redisServer(), ["--version"]))?.[1] ?? "of unknown version";
}
