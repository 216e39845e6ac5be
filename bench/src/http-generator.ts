import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answers, Task, TaskAnswer } from "./load-task.js";

const PROGRAM = fileURLToPath(new URL("load-generator.js", import.meta.url));
/** Its own collections must not be taken for the server's stalls. */
const EXEC_ARGV = ["--max-semi-space-size=64", "--heap-growing-percent=400"];

/** A load generator in a process of its own, so that it never waits for the bench, nor the bench for it. */
export class LoadGenerator implements AsyncDisposable {
  private readonly child: ChildProcess = fork(PROGRAM, { execArgv: EXEC_ARGV });
  private readonly died: Promise<never>;

  constructor() {
    this.died = once(this.child, "exit").then(() => {
      throw new Error("the load generator died");
    });
    // Heard where a task waits; without one nobody has to know.
    this.died.catch(() => undefined);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Runs one task at a time. */
  async run<Kind extends Task["kind"]>(task: Extract<Task, { kind: Kind }>): Promise<Answers[Kind]> {
    const answered = once(this.child, "message");
    this.child.send(task);
    const [message] = (await Promise.race([answered, this.died])) as [TaskAnswer];
    if ("failed" in message) throw new Error(`the load generator failed: ${message.failed}`);
    return message.answer as Answers[Kind];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
}
