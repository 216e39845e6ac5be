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
  /** By `performance.now()`: what has not begun then is left out, and said to be. */
  readonly endsAt: number;
  /** Whether what is missing may be installed, where nobody has to be asked for that. */
  readonly setUp: boolean;
  /** What Daybook is measured next to, by name. */
  readonly against: readonly string[];
}

/** Daybook writes its views every three seconds: whoever asks for tails of latency has to see that more than once. */
const LATENCY_SECONDS_MIN = 6;

export function latencySeconds({ seconds, quick }: BenchOptions): number {
  return quick ? seconds : Math.max(seconds, LATENCY_SECONDS_MIN);
}

/** Whether a scenario may still begin; if not, says so. */
export function isTimeFor(scenario: string, { endsAt }: BenchOptions, say: (line: string) => void): boolean {
  if (performance.now() < endsAt) return true;
  say(`${scenario} is left out: the time is over`);
  process.exitCode = 1;
  return false;
}

/** A group of scenarios that `main` can run. */
export interface Group {
  readonly title: string;
  readonly scenarios: readonly string[];
  /** Those that `--quick` takes when nothing is named. */
  readonly quickScenarios: readonly string[];
  /** Those that `--full` takes when nothing is named. */
  readonly fullScenarios: readonly string[];
  run(options: BenchOptions, names: readonly string[], say: (line: string) => void): Promise<Report>;
}

export interface Report {
  /** What was measured, where that needs saying. */
  readonly about?: string;
  readonly sections: readonly Section[];
  /** The same and more for programs. */
  readonly data: unknown;
}

/** What came of one scenario. */
export interface Section {
  readonly scenario: string;
  /** For people: a table. */
  readonly text: string;
  /** A drawing of it, as SVG. */
  readonly plot?: string;
}
