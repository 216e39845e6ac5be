import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createApiKey } from "@daybook/server";
import {
  type CallAnswer,
  eventually,
  newDataDir,
  Random,
  type ServerProcess,
  startServerProcess,
  within,
} from "@daybook/test-kit";
import { build } from "vite";
import { CALM, FaultProxy } from "./fault-proxy.js";

const example = (path: string): string =>
  fileURLToPath(new URL(`../../../examples/chat/${path}`, import.meta.url));

/** The example's page as it ships: built, once for all tests of a file. */
export async function buildChatPage(): Promise<string> {
  await build({ root: example("page"), logLevel: "error" });
  return example("dist/page");
}

/** The chat example with all that belongs to it, each a process of its own: Daybook, the backend, the agents. */
export class ChatApp implements AsyncDisposable {
  private agents: ChildProcess | undefined;

  private constructor(
    readonly dataDir: string,
    /** Another one once it was killed and started again. */
    public server: ServerProcess,
    readonly key: string,
    /** Between pages and the server. */
    private readonly network: FaultProxy,
    private readonly backend: ChildProcess,
    /** Of the page. */
    readonly url: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** @param more what the agents' environment says: of the model */
  static async start(page: string, more: Readonly<Record<string, string>> = {}): Promise<ChatApp> {
    const dataDir = await newDataDir();
    const server = await startServerProcess({ dataDir, settings: { auth: "jwt" } });
    const { key } = await createApiKey(dataDir, { tenant: "chat", publicUrl: server.url });
    const network = await FaultProxy.start(server.url, new Random(1));
    const env = {
      DAYBOOK_BASE_URL: server.url,
      DAYBOOK_PUBLIC_URL: network.url,
      DAYBOOK_API_KEY: key,
      CHAT_PAGE: page,
      PORT: "0",
      ...more,
    };
    const [backend, line] = await run("backend.js", env);
    const app = new ChatApp(dataDir, server, key, network, backend, line.replace("backend: ", ""), env);
    await app.startAgents();
    return app;
  }

  /** Where pages find the server. */
  get daybookUrl(): string {
    return this.network.url;
  }

  async startAgents(): Promise<void> {
    const [agents] = await run("agents.js", this.env);
    this.agents = agents;
  }

  async killAgents(): Promise<void> {
    await kill(this.agents);
  }

  /** Calls the server, as the backend does. */
  call(method: string, path: string, body?: unknown): Promise<CallAnswer> {
    return this.server.call(method, path, body, { headers: { authorization: `Bearer ${this.key}` } });
  }

  /** Nothing gets from pages to the server any more, nor back. */
  cutNetwork(): void {
    this.network.faults = { ...CALM, none: 0, refuse: 1 };
    this.network.cutAll();
  }

  mendNetwork(): void {
    this.network.faults = CALM;
  }

  killServer(): Promise<unknown> {
    return this.server.kill("SIGKILL");
  }

  /** Where it was before. */
  async startServerAgain(): Promise<void> {
    const port = Number(new URL(this.server.url).port);
    this.server = await startServerProcess({ dataDir: this.dataDir, settings: { auth: "jwt", port } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([kill(this.agents), kill(this.backend), this.server[Symbol.asyncDispose]()]);
    await this.network[Symbol.asyncDispose]();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** The whole example as its one command starts it, with a script for a model. */
export class ChatExample implements AsyncDisposable {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    private readonly dataDir: string,
    private readonly lines: readonly string[],
  ) {}

  /** @param wordMs how long the script takes for a word */
  static async start({ wordMs }: { readonly wordMs: number }): Promise<ChatExample> {
    const dataDir = await newDataDir();
    const env = { CHAT_DATA_DIR: dataDir, CHAT_WORD_MS: String(wordMs), PORT: "0" };
    const [child, line, lines] = await run("run.js", env);
    return new ChatExample(child, line.replace(/^The chat: +/, ""), dataDir, lines);
  }

  /** The ids of Daybook's process and of the agents', as it says them. */
  async pids(): Promise<readonly [daybook: number, agents: number]> {
    await eventually("it is all there", () => this.lines.includes("Ctrl-C ends it."));
    const [, daybook, agents] = /kill -9 (\d+) \(Daybook\) or (\d+)/.exec(this.lines.join()) ?? [];
    return [Number(daybook), Number(agents)];
  }

  /** What Ctrl-C does. @returns its exit code */
  async interrupt(): Promise<number | null> {
    this.child.kill("SIGINT");
    const [code] = (await within("the example ends", once(this.child, "exit"))) as [number | null];
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) await this.interrupt();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** @returns the process, the line that says that it is there, and all that it says */
async function run(
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<[child: ChildProcess, line: string, lines: readonly string[]]> {
  const child = spawn(process.execPath, [example(`dist/${script}`)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, OPENAI_API_KEY: undefined, OPENAI_BASE_URL: undefined, ...env },
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const [line] = (await within(`${script} is there`, once(output, "line"))) as [string];
  return [child, line, lines];
}

async function kill(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
