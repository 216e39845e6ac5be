import { chown, mkdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ALL_PROMISED, type ContenderKind } from "./contender.js";
import { findProgram, foldersIn, Program } from "./program.js";
import { type Database, StackContender } from "./stack-contender.js";

/** Debian keeps the server's programs off the PATH. */
const DEBIAN = "/usr/lib/postgresql";
/** One statement in flight keeps two cores busy; more of them have more. */
const LANES_MAX = 4;
/** Connections of the plain variant: enough for commits to share syncs. */
const POOL = 32;

export const postgres: ContenderKind = postgresKind({
  name: "postgres",
  about: "appends of different callers share a commit",
  lanes: Math.max(1, Math.min(LANES_MAX, availableParallelism() >> 1)),
  shared: true,
});

/** As most people write it: each request its own transaction, over a pool. */
export const plainPostgres: ContenderKind = postgresKind({
  name: "postgres-plain",
  about: "a transaction a request, 32 connections",
  lanes: POOL,
  shared: false,
});

interface Variant {
  readonly name: string;
  readonly about: string;
  readonly lanes: number;
  readonly shared: boolean;
}

function postgresKind({ name, about, lanes, shared }: Variant): ContenderKind {
  return {
    name,
    promises: ALL_PROMISED,
    about: async () => `${await postgresVersion()}, synchronous_commit=on, behind fastify: ${about}`,
    missing: async () => {
      if ((await findInstalled()) === undefined) return "postgresql (Debian)";
      if (isRoot() && (await postgresUser()) === undefined)
        return "a user postgres: PostgreSQL does not run as root";
      return undefined;
    },
    make: async (profileDir) => {
      const installed = await findInstalled();
      if (installed === undefined) throw new Error("postgresql is not installed");
      const owner = isRoot() ? await postgresUser() : undefined;
      return StackContender.make(name, postgresDatabase(installed, owner, { lanes, shared }), profileDir);
    },
  };
}

interface Installed {
  readonly postgres: string;
  readonly initdb: string;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

function postgresDatabase(
  { postgres: program, initdb }: Installed,
  owner: Owner | undefined,
  { lanes, shared }: Pick<Variant, "lanes" | "shared">,
): Database {
  const run = { ...owner, env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" } };
  return {
    // Does not wait for clients to leave.
    endSignal: "SIGINT",
    prepare: async (folder) => {
      const data = join(folder, "data");
      await mkdir(data, { mode: 0o700 });
      if (owner !== undefined) for (const path of [folder, data]) await chown(path, owner.uid, owner.gid);
      await Program.run(initdb, ["-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync"], run);
    },
    start: (folder, port) => {
      const settings = {
        listen_addresses: "127.0.0.1",
        port,
        unix_socket_directories: "",
        synchronous_commit: "on",
        fsync: "on",
        shared_buffers: "512MB",
        wal_buffers: "64MB",
        // Checkpoints far apart: fewer whole pages in the log.
        max_wal_size: "8GB",
        checkpoint_timeout: "15min",
        // A log that has run for a while reuses its files; this one is young, and would stop to fill each with zeros.
        wal_init_zero: "off",
        max_connections: 100,
        jit: "off",
      };
      const flags = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
      return Program.start(program, ["-D", join(folder, "data"), ...flags], { ...run, cwd: folder });
    },
    front: (port) => ({
      database: "postgres",
      url: `postgres://bench@127.0.0.1:${port}/postgres`,
      lanes,
      shared,
    }),
  };
}

async function findInstalled(): Promise<Installed | undefined> {
  const folders = (await foldersIn(DEBIAN)).map((folder) => join(folder, "bin"));
  const [program, initdb] = await Promise.all([
    findProgram("postgres", folders),
    findProgram("initdb", folders),
  ]);
  return program === undefined || initdb === undefined ? undefined : { postgres: program, initdb };
}

async function postgresVersion(): Promise<string> {
  const text = await Program.run((await findInstalled())?.postgres ?? "postgres", ["--version"]);
  return /\(PostgreSQL\) (\S+)/.exec(text)?.[1]?.replace(/^/, "PostgreSQL ") ?? text.trim();
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

async function postgresUser(): Promise<Owner | undefined> {
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(await readFile("/etc/passwd", "utf8")) ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}
