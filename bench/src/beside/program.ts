import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { access, constants, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const END_MS_MAX = 15_000;
/** What is kept of what a program said last. */
const SAID_CHARS_MAX = 4_000;

/** A bench that is interrupted leaves no process and no folder behind. */
const running = new Set<ChildProcess>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A server program that the bench has started. */
export class Program {
  private said = "";
  private readonly line: Promise<unknown[]>;

  private constructor(private readonly child: ChildProcess) {
    running.add(child);
    child.once("exit", () => running.delete(child));
    const hear = (text: Buffer): void => {
      this.said = (this.said + text.toString()).slice(-SAID_CHARS_MAX);
    };
    child.stderr?.on("data", hear);
    child.stdout?.on("data", hear);
    const { stdout } = child;
    if (stdout === null) throw new Error("broken invariant: a program's output is piped");
    const lines = createInterface({ input: stdout });
    this.line = Promise.race([once(lines, "line"), once(child, "close").then(() => [])]);
  }

  static start(command: string, args: readonly string[], options: SpawnOptions = {}): Program {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    // Told by its exit.
    child.once("error", () => undefined);
    return new Program(child);
  }

  /** Runs a program that ends by itself. @throws with what it said */
  static async run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
    const program = Program.start(command, args, options);
    const [code] = (await once(program.child, "close")) as [number | null];
    if (code !== 0) throw new Error(`${command} ended with ${String(code)}: ${program.said}`);
    return program.said;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined;
  }

  /** The first line it prints. @throws with what it said if it ends before */
  async firstLine(): Promise<string> {
    const [line] = await this.line;
    if (typeof line !== "string")
      throw new Error(`${this.child.spawnargs.join(" ")} did not start: ${this.said}`);
    return line;
  }

  async end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void> {
    if (this.hasEnded) return;
    const exited = once(this.child, "exit");
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), END_MS_MAX);
    await exited;
    clearTimeout(timer);
  }
}

/** An empty folder for one server, gone with the bench at the latest. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "daybook-bench-"));
  folders.add(folder);
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** A loopback port that was free a moment ago, for programs that cannot be asked which one they took. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("broken invariant: a TCP port");
  return address.port;
}

/** Where a program is installed: on the PATH, or in the other folders. */
export async function findProgram(
  name: string,
  folders: readonly string[] = [],
): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), ...folders]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== "" && isThere) return path;
  }
  return undefined;
}

/** The folders inside one, the last by number first; none if it is not there. */
export async function foldersIn(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => []);
  return names.sort((left, right) => Number(right) - Number(left)).map((name) => join(path, name));
}
