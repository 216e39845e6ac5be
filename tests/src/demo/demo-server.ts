import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

export const DAYBOOK = fileURLToPath(new URL("../../../packages/cli/bin/daybook.js", import.meta.url));
export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));

/** A server in a process of its own, on the same port and folder however often it is killed. */
export class DemoServer {
  private process: ChildProcess | undefined;

  private constructor(
    readonly url: string,
    private readonly ports: readonly [http: number, ops: number],
    private readonly dataDir: string,
    private readonly auth: "none" | "jwt",
  ) {}

  static async start(dataDir: string, auth: "none" | "jwt"): Promise<DemoServer> {
    const ports = [await freePort(), await freePort()] as const;
    const server = new DemoServer(`http://127.0.0.1:${ports[0]}`, ports, dataDir, auth);
    await server.run();
    return server;
  }

  /** Kills it as a power cut would the process: without a word. Then starts it again. */
  async killAndRestart(): Promise<void> {
    const victim = this.process;
    if (victim !== undefined) {
      victim.kill("SIGKILL");
      await once(victim, "exit");
    }
    await this.run();
  }

  async stop(): Promise<void> {
    const running = this.process;
    if (running === undefined) return;
    this.process = undefined;
    running.kill("SIGTERM");
    await once(running, "exit");
  }

  private async run(): Promise<void> {
    const [http, ops] = this.ports;
    const flags = [
      "--port",
      String(http),
      "--ops-port",
      String(ops),
      "--data-dir",
      this.dataDir,
      "--auth",
      this.auth,
    ];
    this.process = spawn(process.execPath, [DAYBOOK, "serve", "--json", "--log-level", "error", ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const failed = once(this.process, "exit").then(([code]) =>
      Promise.reject(new Error(`the server ended with ${String(code)}`)),
    );
    const said = this.process.stdout === null ? failed : once(this.process.stdout, "data");
    await Promise.race([said, failed]);
    // Later its exit is expected.
    failed.catch(() => undefined);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
