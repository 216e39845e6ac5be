import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSettings, type RunningServer, serve, type Settings } from "@daybook/server";
import { Api } from "./api.js";

export interface StartOptions {
  readonly settings?: Partial<Settings>;
  readonly store?: Settings["store"];
  /** A folder to use and leave; else a new one that is removed at the end. */
  readonly dataDir?: string;
}

/** A server in this process, on free ports, with a data folder of its own. */
export class TestServer extends Api implements AsyncDisposable {
  constructor(
    private readonly server: RunningServer,
    readonly dataDir: string,
    private readonly keepsData: boolean,
  ) {
    super(server.url);
  }

  get opsUrl(): string {
    return this.server.opsUrl;
  }

  /** HOST:PORT, as gRPC clients want it. */
  get grpcAddress(): string {
    return this.server.grpcAddress ?? "";
  }

  get closed(): Promise<number> {
    return this.server.closed;
  }

  close(): Promise<void> {
    return this.server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    if (!this.keepsData) await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Settings for tests: free ports, no log, no wish for free space, defaults else. */
export function testSettings(dataDir: string, { settings, store }: StartOptions = {}): Settings {
  return {
    ...readSettings(
      {
        port: 0,
        opsPort: 0,
        grpcPort: 0,
        dataDir,
        logLevel: "silent",
        reserveBytes: 0,
        store: store ?? "embedded",
      },
      {},
    ),
    ...settings,
  };
}

/**
 * Starts a server.
 *
 * @example
 * await using server = await startServer({ store: "memory" });
 * const { json } = await server.call("POST", "/v1/sessions", { title: "First" });
 */
export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await newDataDir());
  const keepsData = options.dataDir !== undefined;
  try {
    return new TestServer(await serve(testSettings(dataDir, options)), dataDir, keepsData);
  } catch (error) {
    if (!keepsData) await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

export function newDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "daybook-test-"));
}
