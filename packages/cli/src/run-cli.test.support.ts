import { PassThrough, Readable, Writable } from "node:stream";
import type { Clock, EndSignal, Io } from "./io.js";
import { run } from "./run.js";

/** A clock whose sleeps take no time but count as if they did. */
export class QuickClock implements Clock {
  private ms = 1_000_000;
  readonly sleeps: number[] = [];
  now(): number {
    return this.ms;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    this.ms += ms;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  random(): number {
    return 0.5;
  }
}

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly clock: QuickClock;
}

/** What has been written up to now. */
export interface SoFar {
  readonly text: string;
  readonly bytes: number;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: string | Buffer | Readable;
  /** Called with each piece of output, so that a test can act while the command runs. */
  readonly onOutput?: (soFar: SoFar, raise: (signal: EndSignal) => void) => void;
  readonly onError?: (soFar: SoFar, raise: (signal: EndSignal) => void) => void;
}

/** Runs a command line in this process, away from the user's own configuration. */
export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const handlers = new Set<(signal: EndSignal) => void>();
  const raise = (signal: EndSignal): void => handlers.forEach((handler) => handler(signal));
  const { onOutput, onError } = options;
  const stdout = new Collector(onOutput && ((soFar) => onOutput(soFar, raise)));
  const stderr = new Collector(onError && ((soFar) => onError(soFar, raise)));
  const clock = new QuickClock();
  const io: Io = {
    stdin: inputFrom(options.stdin),
    stdout,
    stderr,
    env: { DAYBOOK_CONFIG_DIR: "/nonexistent/daybook-test", ...options.env },
    clock,
    onEndSignal: (handler) => {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
  };
  const exitCode = await run(args, io);
  return { exitCode, stdout: stdout.text, stderr: stderr.text, clock };
}

function inputFrom(input: RunOptions["stdin"]): Readable {
  if (input instanceof Readable) return input;
  const stream = new PassThrough();
  stream.end(input ?? "");
  return stream;
}

class Collector extends Writable {
  bytes = 0;
  private readonly chunks: Buffer[] = [];

  constructor(private readonly onWrite: ((soFar: SoFar) => void) | undefined) {
    super();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("utf8");
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    this.onWrite?.(this);
    done();
  }
}
