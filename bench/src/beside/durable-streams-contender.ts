import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { profileFlags } from "../cpu-profile.js";
import type { Target } from "../load-task.js";
import type { Contender, ContenderKind } from "./contender.js";
import { makeFolder, Program, removeFolder } from "./program.js";

const PROGRAM = fileURLToPath(new URL("../contenders/durable-streams.js", import.meta.url));
const PACKAGE = "@durable-streams/server";

/** The protocol's own reference server, over files. It has no front: it is one. */
export const durableStreams: ContenderKind = {
  name: "durable-streams",
  promises: { api: "durable streams", contiguous: false, retriesOfEvents: false },
  about: async () => `${PACKAGE} ${await installedVersion()}, file-backed, without authentication`,
  missing: () => Promise.resolve(manifestPath() === undefined ? `${PACKAGE} (npm)` : undefined),
  make: async (profileDir) => new DurableStreamsContender(await makeFolder(), profileDir),
};

class DurableStreamsContender implements Contender {
  readonly name = "durable-streams";
  private program: Program | undefined;
  private url = "";

  constructor(
    private readonly folder: string,
    private readonly profileDir: string | undefined,
  ) {}

  get target(): Target {
    return { url: this.url, api: "durable streams" };
  }

  get pids(): number[] {
    return this.program === undefined ? [] : [this.program.pid];
  }

  async run(): Promise<void> {
    this.program = Program.start(process.execPath, [...profileFlags(this.profileDir), PROGRAM, this.folder]);
    this.url = (JSON.parse(await this.program.firstLine()) as { url: string }).url;
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.program?.end(signal);
    this.program = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end(this.profileDir === undefined ? "SIGKILL" : "SIGTERM");
    await removeFolder(this.folder);
  }
}

function manifestPath(): string | undefined {
  try {
    // The package does not export its manifest; its entry lies in a folder beside it.
    return join(dirname(createRequire(import.meta.url).resolve(PACKAGE)), "..", "package.json");
  } catch {
    return undefined;
  }
}

async function installedVersion(): Promise<string> {
  const path = manifestPath();
  if (path === undefined) return "not installed";
  return (JSON.parse(await readFile(path, "utf8")) as { version: string }).version;
}
