import { performance } from "node:perf_hooks";

/** How busy this process was: above 0.9 it may have been the limit of what was measured. */
export class BusyClock {
  private readonly loop = performance.eventLoopUtilization();
  private readonly cpu = process.cpuUsage();
  private readonly startedAt = performance.now();

  /** The larger of its event loop's share of the time and its CPU's. */
  share(): number {
    const { user, system } = process.cpuUsage(this.cpu);
    const elapsedMs = performance.now() - this.startedAt;
    return Math.max(
      performance.eventLoopUtilization(this.loop).utilization,
      (user + system) / 1000 / elapsedMs,
    );
  }
}
