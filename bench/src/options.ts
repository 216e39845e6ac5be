import type { Row } from "./row.js";

/** How long and how thorough a run is. */
export interface BenchOptions {
  /** Measured time of one round of one variant. */
  readonly seconds: number;
  readonly rounds: number;
  /** A subset's worth of time: figures are labelled as such. */
  readonly quick: boolean;
  /** Sizes as the goals name them, where the default is smaller. */
  readonly full: boolean;
  /** Servers write a CPU profile here when they stop. */
  readonly profileDir: string | undefined;
}

/** A group of scenarios that `main` can run. */
export interface Group {
  readonly title: string;
  readonly scenarios: readonly string[];
  run(options: BenchOptions, names: readonly string[], say: (line: string) => void): Promise<readonly Row[]>;
}
