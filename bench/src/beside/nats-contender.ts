import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContenderKind } from "./contender.js";
import { findProgram, Program } from "./program.js";
import { type Database, StackContender } from "./stack-contender.js";

/** Debian's package puts it where only an administrator's PATH leads. */
const FOLDERS = ["/usr/sbin"];
/** From here on JetStream can be told to sync before it acknowledges. */
const SYNCS_SINCE = [2, 10] as const;

/** A JetStream stream on disk, with as much of a sync as the installed version offers. */
export const nats: ContenderKind = {
  name: "nats",
  promises: { api: "sessions", contiguous: false, retriesOfEvents: false },
  about: async () => {
    const version = await natsVersion();
    const syncs = canSync(version)
      ? "synced before the answer"
      : "answers before it syncs, which it does every 2 minutes";
    return `NATS JetStream ${version}, file storage, ${syncs}, behind fastify`;
  },
  missing: async () =>
    (await findProgram("nats-server", FOLDERS)) === undefined ? "nats-server (Debian)" : undefined,
  make: async (profileDir) => {
    const database = natsDatabase(await natsServer(), canSync(await natsVersion()));
    return StackContender.make("nats", database, profileDir);
  },
};

function natsDatabase(program: string, syncs: boolean): Database {
  return {
    endSignal: "SIGTERM",
    start: (folder, port) => {
      const config = join(folder, "nats.conf");
      const sync = syncs ? "sync_interval: always" : "";
      writeFileSync(
        config,
        `host: "127.0.0.1"\nport: ${port}\njetstream { store_dir: "${folder}", max_file_store: 100GB, ${sync} }\n`,
      );
      return Program.start(program, ["-c", config]);
    },
    front: (port) => ({ database: "nats", url: `nats://127.0.0.1:${port}` }),
  };
}

function canSync(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > SYNCS_SINCE[0] || (major === SYNCS_SINCE[0] && minor >= SYNCS_SINCE[1]);
}

async function natsServer(): Promise<string> {
  const program = await findProgram("nats-server", FOLDERS);
  if (program === undefined) throw new Error("nats-server is not installed");
  return program;
}

async function natsVersion(): Promise<string> {
  return /v(\d\S*)/.exec(await Program.run(await natsServer(), ["--version"]))?.[1] ?? "of unknown version";
}
