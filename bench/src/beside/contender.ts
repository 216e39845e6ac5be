import type { Target } from "../load-task.js";

/** Something that keeps sessions, with all its processes, on a folder of its own. */
export interface Contender extends AsyncDisposable {
  readonly name: string;
  readonly target: Target;
  /** Of its processes; their children count as well. */
  readonly pids: readonly number[];
  /** Starts it, also again on what it has stored. Resolves when it answers. */
  run(): Promise<void>;
  /** All its processes at once: as they are asked to, or as in a crash. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** How one kind of contender is made. */
export interface ContenderKind {
  readonly name: string;
  /** One line: what it is, and which version. */
  about(): Promise<string>;
  readonly promises: Promises;
  /** What to install before it can run; undefined: it can. */
  missing(): Promise<string | undefined>;
  /** Not yet running, on an empty folder. Its program in JavaScript writes a CPU profile into `profileDir` when it ends. */
  make(profileDir?: string): Promise<Contender>;
}

/** What a contender has no way to do: it is not measured there, and its line says why. */
export class NotOffered extends Error {}

/** Where contenders differ in what they promise; bench/CONTENDERS.md says it in words. */
export interface Promises {
  /** Which protocol they speak. */
  readonly api: NonNullable<Target["api"]>;
  /** A session's events are 1, 2, 3 …; otherwise their numbers only rise. */
  readonly contiguous: boolean;
  /** A retried event is known one by one, in whatever list it comes; otherwise only the same append is. */
  readonly retriesOfEvents: boolean;
}

export const ALL_PROMISED: Promises = { api: "sessions", contiguous: true, retriesOfEvents: true };
