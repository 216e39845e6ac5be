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
  /** What Daybook is measured next to, by name. */
  readonly against: readonly string[];
}

/** A group of scenarios that `main` can run. */
export interface Group {
  readonly title: string;
  readonly scenarios: readonly string[];
  /** Those that `--quick` takes when nothing is named. */
  readonly quickScenarios: readonly string[];
  run(options: BenchOptions, names: readonly string[], say: (line: string) => void): Promise<Report>;
}

export interface Report {
  /** For people: tables. */
  readonly text: string;
  /** The same and more for programs. */
  readonly data: unknown;
  /** A drawing, as SVG. */
  readonly plots?: string;
}
