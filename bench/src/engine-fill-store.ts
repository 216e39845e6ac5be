import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const FILL = fileURLToPath(new URL("./engine-fill.js", import.meta.url));

export interface FillOptions {
  readonly folder: string;
  /** Sessions of the tenant `bench`, named as the load generator names them. */
  readonly prefix: string;
  readonly sessionCount: number;
  /** Over all sessions, in turn. */
  readonly eventCount: number;
  /** 1: each event in a frame of its own, as agents write them. */
  readonly eventsPerAppend: number;
  /** Close the store, or go on writing and be killed in the middle of it. */
  readonly then: "close" | "go on";
}

/** Fills a store that no server has open. */
export async function fillStore(options: FillOptions): Promise<void> {
  const child = spawn(process.execPath, [FILL, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // A bench that is interrupted leaves nobody filling.
  const drop = (): void => void child.kill("SIGKILL");
  process.once("exit", drop);
  const exited = once(child, "exit");
  const full = await Promise.race([once(child.stdout, "data"), exited.then(() => undefined)]);
  if (options.then === "go on") child.kill("SIGKILL");
  await exited;
  process.off("exit", drop);
  if (full === undefined) throw new Error(`the store was not filled: exit ${String(child.exitCode)}`);
}
