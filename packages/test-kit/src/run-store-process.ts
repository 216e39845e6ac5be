import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A store in a process of its own. */
export class StoreProcess {
  /** What it said, line by line. */
  readonly lines: string[] = [];
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;

  constructor(folder: string, task: "hold" | "append" | "close", life = 1) {
    const program = fileURLToPath(new URL("./store-process.js", import.meta.url));
    this.child = spawn(process.execPath, [program, folder, task, String(life)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const { stdout } = this.child;
    if (stdout === null) throw new Error("a child without output");
    const reader = createInterface({ input: stdout });
    reader.on("line", (line) => this.lines.push(line));
    this.ended = Promise.all([once(this.child, "exit"), once(reader, "close")]).then(() => undefined);
  }

  /** Resolves when it has said so many lines, or ended. */
  async said(count: number): Promise<void> {
    while (this.lines.length < count && !this.hasEnded())
      await new Promise((resolve) => setImmediate(resolve));
    // What it said last may still be on its way.
    if (this.hasEnded()) await this.ended;
  }

  private hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}
