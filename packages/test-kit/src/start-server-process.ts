import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SETTINGS, type Settings } from "@daybook/server";
import { Api } from "./api.js";
import { newDataDir, type StartOptions, testSettings } from "./start-server.js";

const DAYBOOK = fileURLToPath(new URL("../../cli/bin/daybook.js", import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server in a process of its own: it can be killed at any moment. */
export class ServerProcess extends Api implements AsyncDisposable {
  readonly exited: Promise<Exit>;
  /** What it wrote after the line that says where it listens: its log. */
  output = "";

  constructor(
    private readonly child: ChildProcess,
    lines: Interface,
    url: string,
    readonly opsUrl: string,
    readonly grpcAddress: string,
    private readonly folder: { readonly path: string; readonly keep: boolean },
  ) {
    super(url);
    this.exited = exitOf(child);
    lines.on("line", (line) => (this.output += `${line}\n`));
  }

  get dataDir(): string {
    return this.folder.path;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Sends a signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.child.kill(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
    if (!this.folder.keep) await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Starts `daybook serve` and waits until it listens. */
export async function startServerProcess(options: StartOptions = {}): Promise<ServerProcess> {
  const path = options.dataDir ?? (await newDataDir());
  const child = spawn(process.execPath, [DAYBOOK, "serve", "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environmentOf(testSettings(path, options)) },
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, "line"), once(child, "close")])) as unknown[];
  if (typeof line !== "string")
    throw new Error(`the server did not start, exit code ${String(line)}: ${complaints}`);
  const where = JSON.parse(line) as { url: string; ops_url: string; grpc_address: string | null };
  const folder = { path, keep: options.dataDir !== undefined };
  return new ServerProcess(child, lines, where.url, where.ops_url, where.grpc_address ?? "", folder);
}

/** As variables, and none of those that happen to be set here. */
function environmentOf(settings: Settings): Record<string, string | undefined> {
  return Object.fromEntries(
    SETTINGS.map(({ name, env }) => [env, settings[name] === undefined ? undefined : String(settings[name])]),
  );
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null)
      resolve({ code: child.exitCode, signal: child.signalCode });
    else child.once("close", (code, signal) => resolve({ code, signal }));
  });
}
