import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createApiKey } from "@daybook/server";
import { profileFlags } from "./cpu-profile.js";
import type { Target } from "./load-task.js";

const DAYBOOK = fileURLToPath(new URL("../../packages/cli/bin/daybook.js", import.meta.url));
/** The same, not in one bundle: a profile says of each function which file it is from. */
const MODULES = fileURLToPath(new URL("../../packages/cli/dist/main.js", import.meta.url));
/** Linux counts CPU time in these. */
const TICKS_PER_SECOND = 100;

export interface ServerOptions {
  readonly store?: "embedded" | "memory";
  readonly auth?: "none" | "jwt";
  readonly profileDir?: string | undefined;
}

/** Servers that are not disposed of yet: a bench that is interrupted leaves no process and no folder behind. */
const running = new Set<BenchServer>();
process.on("exit", () => {
  for (const server of running) server.drop();
});

/** `daybook serve` as a user runs it, in a process and a folder of its own. */
export class BenchServer implements AsyncDisposable {
  private child: ChildProcess | undefined;
  private url = "";
  /** `host:port` of the gRPC listener. */
  grpcAddress = "";
  private opsUrl = "";
  private token: string | undefined;

  private constructor(
    readonly folder: string,
    private readonly options: ServerOptions,
  ) {
    running.add(this);
  }

  /** Not yet running. */
  static async make(options: ServerOptions = {}): Promise<BenchServer> {
    const server = new BenchServer(await mkdtemp(join(tmpdir(), "daybook-bench-")), options);
    if (options.auth === "jwt")
      server.token = (await createApiKey(server.folder, { tenant: "bench", name: "bench" })).key;
    return server;
  }

  static async start(options: ServerOptions = {}): Promise<BenchServer> {
    const server = await BenchServer.make(options);
    try {
      await server.run();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get target(): Target {
    return { url: this.url, ...(this.token !== undefined && { token: this.token }) };
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Starts the process, also again on the same folder. Milliseconds until it listens. */
  async run(): Promise<number> {
    const { store = "embedded", auth = "none", profileDir } = this.options;
    const startedAt = performance.now();
    // The memory store's throw-away files go where they are cleared away even if the server is killed.
    const flags = [
      "--port",
      "0",
      "--ops-port",
      "0",
      "--grpc-port",
      "0",
      "--data-dir",
      this.folder,
      "--store",
      store,
    ];
    const child = spawn(
      process.execPath,
      [
        ...profileFlags(profileDir),
        profileDir === undefined ? DAYBOOK : MODULES,
        "serve",
        "--json",
        ...flags,
        "--auth",
        auth,
        "--log-level",
        "error",
      ],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...withoutSettings(process.env), ...(store === "memory" && { TMPDIR: this.folder }) },
      },
    );
    this.child = child;
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([once(lines, "line"), once(child, "close")])) as unknown[];
    if (typeof line !== "string") throw new Error(`the server did not start; it exited with ${String(line)}`);
    const where = JSON.parse(line) as { url: string; ops_url: string; grpc_address: string };
    this.grpcAddress = where.grpc_address;
    this.url = where.url;
    this.opsUrl = where.ops_url;
    return performance.now() - startedAt;
  }

  /** A profile is only written by a process that ends by itself. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** A request to the server's API, for what is not measured. */
  async call(method: string, path: string): Promise<void> {
    const { url, token } = this.target;
    const answer = await fetch(url + path, {
      method,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}`);
  }

  /** A metric as the ops listener shows it, over all its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.opsUrl}/metrics`)).text();
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))];
    if (values.length === 0 && !text.includes(`# TYPE ${name} `))
      throw new Error(`the server has no metric ${name}`);
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** User and system time the process has used. */
  async cpuSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.pid}/stat`, "utf8");
    // The command's name, in brackets, may hold anything; the fields after it are plain.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end(this.options.profileDir === undefined ? "SIGKILL" : "SIGTERM");
    await rm(this.folder, { recursive: true, force: true });
    running.delete(this);
  }

  /** The same at once, for a process that is ending. */
  drop(): void {
    this.child?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What this shell has set for its own servers must not change what is measured. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("DAYBOOK_")));
}
