import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";

/** Linux counts CPU time in these. */
const TICKS_PER_SECOND = 100;

/** Tells how much of the machine went to others while something was measured: figures mean little without that. */
export class MachineClock {
  private constructor(
    private readonly before: Ticks,
    private readonly startedAt: number,
  ) {}

  static async start(): Promise<MachineClock> {
    return new MachineClock(await readTicks(), performance.now());
  }

  /** The share of all CPUs that processes took which are neither this one nor its children. Those must have ended. */
  async othersShare(): Promise<number> {
    const now = await readTicks();
    const others = now.busy - this.before.busy - (now.own - this.before.own);
    const seconds = (performance.now() - this.startedAt) / 1000;
    return Math.max(0, others / TICKS_PER_SECOND / seconds / availableParallelism());
  }
}

interface Ticks {
  readonly busy: number;
  readonly own: number;
}

/** CPU time that all processes together have used since the machine started. */
export async function busySeconds(): Promise<number> {
  return (await readTicks()).busy / TICKS_PER_SECOND;
}

async function readTicks(): Promise<Ticks> {
  const [all, self] = await Promise.all([
    readFile("/proc/stat", "utf8"),
    readFile("/proc/self/stat", "utf8"),
  ]);
  // cpu  user nice system idle iowait irq softirq steal …
  const [user, nice, system, , , irq, softirq, steal] = fieldsFrom(all, all.indexOf("cpu ") + 4);
  // The command's name, in brackets, may hold anything; times are the 12th to the 15th field after it.
  const own = fieldsFrom(self, self.lastIndexOf(")") + 4).slice(10, 14);
  return { busy: sum([user, nice, system, irq, softirq, steal]), own: sum(own) };
}

function fieldsFrom(text: string, at: number): number[] {
  const line = text.slice(at).split("\n")[0] ?? "";
  return line.trim().split(/\s+/).map(Number);
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}
