import { busySeconds } from "../machine.js";
import { cpuSecondsOf } from "./process-tree.js";

/** How many CPU cores were at work for whom. */
export interface Cores {
  readonly server: number;
  readonly load: number;
  /** Everybody else on the machine: figures mean little if it is much. */
  readonly others: number;
}

/** Tells whose work a measurement was: a full machine, or a busy generator, shows beside every figure. */
export class CoresClock {
  private constructor(
    private readonly server: readonly number[],
    private readonly load: readonly number[],
    private readonly before: Cores,
    private readonly startedAt: number,
  ) {}

  static async start(server: readonly number[], load: readonly number[]): Promise<CoresClock> {
    return new CoresClock(server, load, await secondsOf(server, load), performance.now());
  }

  async stop(): Promise<Cores> {
    const now = await secondsOf(this.server, this.load);
    const seconds = (performance.now() - this.startedAt) / 1000;
    const cores = (who: keyof Cores): number => Math.max(0, (now[who] - this.before[who]) / seconds);
    return { server: cores("server"), load: cores("load"), others: cores("others") };
  }
}

async function secondsOf(serverPids: readonly number[], loadPids: readonly number[]): Promise<Cores> {
  const [all, server, load] = await Promise.all([
    busySeconds(),
    cpuSecondsOf(serverPids),
    cpuSecondsOf(loadPids),
  ]);
  return { server, load, others: all - server - load };
}
