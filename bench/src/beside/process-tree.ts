import { readFile, readdir } from "node:fs/promises";

/** Linux counts CPU time in these. */
const TICKS_PER_SECOND = 100;
const KIB = 1024;

/** What processes and all their children have used so far, those that have ended included. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Memory that is theirs; what several of them share counts once. */
  readonly memoryBytes: number;
  /** What they caused to be written to the disk. */
  readonly writtenBytes: number;
}

export async function usageOf(roots: readonly number[]): Promise<Usage> {
  const usages = await Promise.all((await withChildren(roots)).map(usageOfOne));
  const sum = (of: keyof Usage): number => usages.reduce((total, usage) => total + usage[of], 0);
  return {
    cpuSeconds: sum("cpuSeconds"),
    memoryBytes: sum("memoryBytes"),
    writtenBytes: sum("writtenBytes"),
  };
}

/** The CPU time alone: memory takes the kernel a while to add up. */
export async function cpuSecondsOf(roots: readonly number[]): Promise<number> {
  const stats = await Promise.all((await withChildren(roots)).map(statFields));
  return stats.reduce((total, stat) => total + cpuSecondsIn(stat), 0);
}

/** Processes and all their children, as they are now. */
export async function withChildren(roots: readonly number[]): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map(
    await Promise.all(pids.map(async (pid) => [pid, Number((await statFields(pid))[1] ?? 0)] as const)),
  );
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (roots.includes(pid) || isOurs(parents.get(pid)));
  return pids.filter(isOurs);
}

async function usageOfOne(pid: number): Promise<Usage> {
  const [stat, memory, io] = await Promise.all([
    statFields(pid),
    textOf(`/proc/${pid}/smaps_rollup`),
    textOf(`/proc/${pid}/io`),
  ]);
  return {
    cpuSeconds: cpuSecondsIn(stat),
    memoryBytes: Number(/^Pss:\s+(\d+)/m.exec(memory)?.[1] ?? 0) * KIB,
    writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0),
  };
}

/** utime, stime, and those of children that have ended. */
function cpuSecondsIn(stat: readonly string[]): number {
  return stat.slice(11, 15).reduce((total, field) => total + Number(field), 0) / TICKS_PER_SECOND;
}

/** The fields of /proc/PID/stat from the state on. */
async function statFields(pid: number): Promise<string[]> {
  const stat = await textOf(`/proc/${pid}/stat`);
  // The command's name, in brackets, may hold anything; the fields after it are plain.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Empty for a process that has ended meanwhile. */
function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
