import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import type { Io } from "./io.js";

/** A line at the bottom of the terminal to write on, while what others say comes in above it. */
export class ChatPrompt {
  private readonly lines: Interface;
  private isShown = false;

  constructor(
    private readonly io: Io,
    prompt: string,
    on: {
      /** A line was entered. The prompt comes back once this settles. */
      readonly line: (text: string) => Promise<void>;
      /** There is nothing more to say: Ctrl-D. */
      readonly end: () => void;
      /** Ctrl-C: it does not reach the process as a signal here. */
      readonly interrupt: () => void;
    },
  ) {
    this.lines = createInterface({ input: io.stdin, output: io.stdout, terminal: true, prompt });
    this.lines.on("line", (text) => {
      this.isShown = false;
      void on.line(text).finally(() => this.show());
    });
    this.lines.on("SIGINT", on.interrupt);
    this.lines.on("close", on.end);
  }

  show(): void {
    if (this.isShown || this.isClosed) return;
    this.isShown = true;
    this.lines.prompt(true);
  }

  /** Makes room for output: what was being written stays, and comes back with `show`. */
  hide(): void {
    if (!this.isShown) return;
    this.isShown = false;
    const { stdout } = this.io;
    moveCursor(stdout, 0, -this.lines.getCursorPos().rows);
    cursorTo(stdout, 0);
    clearScreenDown(stdout);
  }

  close(): void {
    this.hide();
    this.lines.removeAllListeners("close");
    this.lines.close();
  }

  private get isClosed(): boolean {
    return (this.lines as Interface & { closed?: boolean }).closed === true;
  }
}
