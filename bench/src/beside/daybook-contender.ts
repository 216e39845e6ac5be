import { readFile } from "node:fs/promises";
import { BenchServer } from "../http-server.js";
import { ALL_PROMISED, type Contender, type ContenderKind } from "./contender.js";

/** `daybook serve` as a user runs it, with tokens checked. */
export const daybook: ContenderKind = {
  name: "daybook",
  promises: ALL_PROMISED,
  about: async () => {
    const manifest = new URL("../../../packages/server/package.json", import.meta.url);
    const { version } = JSON.parse(await readFile(manifest, "utf8")) as { version: string };
    return `Daybook ${version}`;
  },
  missing: () => Promise.resolve(undefined),
  make: async (profileDir) => new DaybookContender(await BenchServer.make({ auth: "jwt", profileDir })),
};

class DaybookContender implements Contender {
  readonly name = "daybook";

  constructor(private readonly server: BenchServer) {}

  get target(): BenchServer["target"] {
    return this.server.target;
  }

  get pids(): number[] {
    return [this.server.pid];
  }

  async run(): Promise<void> {
    await this.server.run();
  }

  end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    return this.server.end(signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}
