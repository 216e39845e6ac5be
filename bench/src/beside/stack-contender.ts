import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { StackOptions } from "../contenders/stack.js";
import { profileFlags } from "../cpu-profile.js";
import type { Target } from "../load-task.js";
import type { Contender } from "./contender.js";
import { withChildren } from "./process-tree.js";
import { freePort, makeFolder, Program, removeFolder } from "./program.js";

const STACK = fileURLToPath(new URL("../contenders/stack.js", import.meta.url));

/** A database server that a home-made stack stands on. */
export interface Database {
  /** Makes an empty folder ready. */
  prepare?(folder: string): Promise<void>;
  /** Starts it on a folder. It need not answer yet: the front waits for it. */
  start(folder: string, port: number): Program;
  /** By which signal it ends in an orderly way, whoever is connected. */
  readonly endSignal: "SIGTERM" | "SIGINT";
  /** How the front finds it. */
  front(port: number): Omit<StackOptions, "key">;
}

/** A database and the fastify front before it, each in processes of its own. */
export class StackContender implements Contender {
  private programs: { readonly database: Program; readonly front: Program } | undefined;
  private url = "";
  private readonly key = randomBytes(16).toString("hex");

  private constructor(
    readonly name: string,
    private readonly database: Database,
    private readonly folder: string,
    private readonly profileDir: string | undefined,
  ) {}

  static async make(name: string, database: Database, profileDir?: string): Promise<StackContender> {
    const folder = await makeFolder();
    await database.prepare?.(folder);
    return new StackContender(name, database, folder, profileDir);
  }

  get target(): Target {
    return { url: this.url, token: this.key };
  }

  get pids(): number[] {
    return this.programs === undefined ? [] : [this.programs.database.pid, this.programs.front.pid];
  }

  async run(): Promise<void> {
    const port = await freePort();
    const database = this.database.start(this.folder, port);
    const options: StackOptions = { ...this.database.front(port), key: this.key };
    const front = Program.start(process.execPath, [
      ...profileFlags(this.profileDir),
      STACK,
      JSON.stringify(options),
    ]);
    this.programs = { database, front };
    this.url = (JSON.parse(await front.firstLine()) as { url: string }).url;
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { programs } = this;
    this.programs = undefined;
    if (programs === undefined) return;
    // A database may be many processes, and a crash takes them all.
    if (signal === "SIGKILL")
      for (const pid of await withChildren([programs.front.pid, programs.database.pid])) kill(pid);
    await programs.front.end(signal);
    await programs.database.end(signal === "SIGKILL" ? signal : this.database.endSignal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end(this.profileDir === undefined ? "SIGKILL" : "SIGTERM");
    await removeFolder(this.folder);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended meanwhile.
  }
}
