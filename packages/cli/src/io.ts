import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

export type Output = Writable & { readonly isTTY?: boolean | undefined };
export type Input = Readable & { readonly isTTY?: boolean | undefined };

export type EndSignal = "SIGINT" | "SIGTERM";

/** Time as the commands see it, so that tests need not wait for a backoff. */
export interface Clock {
  now(): number;
  /** @throws AbortError when the signal fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** In [0, 1), for jitter. */
  random(): number;
}

/** All that a command touches of the process it runs in. */
export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** From now on these signals go to `handler` and no longer end the process; returns how to undo that. */
  onEndSignal(handler: (signal: EndSignal) => void): () => void;
}

/** What a shell shows for a process that ended by a signal. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

export function processIo(): Io {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    clock: {
      now: Date.now,
      sleep: async (ms, signal) => {
        await sleep(ms, undefined, signal === undefined ? {} : { signal });
      },
      random: Math.random,
    },
    onEndSignal: (handler) => {
      process.on("SIGINT", handler).on("SIGTERM", handler);
      return () => void process.off("SIGINT", handler).off("SIGTERM", handler);
    },
  };
}
