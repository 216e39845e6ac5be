import type { Clock } from "./environment.js";

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that passes only when it is told to, and then as fast as it can. */
export class SimClock {
  private tasks: Task[] = [];
  private order = 0;
  nowMs = 0;

  after(ms: number, run: () => void): () => void {
    const task = { atMs: this.nowMs + Math.max(0, ms), order: this.order++, run };
    this.tasks.push(task);
    return () => {
      this.tasks = this.tasks.filter((one) => one !== task);
    };
  }

  /** Runs whatever is due within a time, each in its turn, with all that follows from it at once. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await settled();
      const next = this.next();
      if (next === undefined || next.atMs > endMs) break;
      this.tasks = this.tasks.filter((one) => one !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
  }

  /** Time passes and nobody is there to notice: whatever was due is due afterwards. */
  jump(ms: number): void {
    this.nowMs += ms;
  }

  private next(): Task | undefined {
    return this.tasks.reduce<Task | undefined>(
      (first, task) =>
        first === undefined ||
        task.atMs < first.atMs ||
        (task.atMs === first.atMs && task.order < first.order)
          ? task
          : first,
      undefined,
    );
  }
}

/** Everything that hangs on promises alone has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The clock as one page sees it: when the page is gone, nothing of it is ever called again. */
export class PageClock implements Clock {
  isGone = false;

  constructor(private readonly clock: SimClock) {}

  now(): number {
    return this.clock.nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    return this.clock.after(ms, () => {
      if (!this.isGone) callback();
    });
  }
}
