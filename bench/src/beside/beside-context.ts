import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "@daybook/test-kit";
import { LoadGenerator } from "../http-generator.js";
import type { Answers, Task } from "../load-task.js";
import type { BenchOptions } from "../options.js";
import type { Comparison, Line, Measure, Round } from "./comparison.js";
import { type Contender, type ContenderKind, NotOffered } from "./contender.js";
import { CoresClock } from "./cores-clock.js";
import { cpuSecondsOf } from "./process-tree.js";

/** Beyond this a task has hung: the others are still worth their time. */
const TASK_MS_MAX = 180_000;
const CALM_MS = 200;
const CALM_MS_MAX = 5_000;
/** Share of one core below which servers count as idle. */
const CALM_SHARE = 0.05;

/** What a scenario gets: contenders of its own, on empty folders, and a load generator. Ended with it. */
export class BesideContext implements AsyncDisposable {
  readonly contenders: Contender[] = [];
  private current: LoadGenerator | undefined;

  private constructor(
    readonly options: BenchOptions,
    readonly say: (line: string) => void,
  ) {}

  static async open(
    options: BenchOptions,
    kinds: readonly ContenderKind[],
    say: (line: string) => void,
  ): Promise<BesideContext> {
    const context = new BesideContext(options, say);
    try {
      for (const kind of kinds) {
        const { profileDir } = options;
        const contender = await kind.make(profileDir === undefined ? undefined : join(profileDir, kind.name));
        context.contenders.push(contender);
        await within(`${kind.name} starts`, contender.run(), TASK_MS_MAX);
      }
      return context;
    } catch (error) {
      await context[Symbol.asyncDispose]();
      throw error;
    }
  }

  get daybook(): Contender {
    const [first] = this.contenders;
    if (first === undefined) throw new Error("broken invariant: Daybook is always measured");
    return first;
  }

  /** Has the generator do something. */
  async load<Kind extends Task["kind"]>(task: Extract<Task, { kind: Kind }>): Promise<Answers[Kind]> {
    this.current ??= new LoadGenerator();
    try {
      return await within(`the task ${task.kind}`, this.current.run<Kind>(task), TASK_MS_MAX);
    } catch (error) {
      // What it may still be doing must not go into the next figure.
      const broken = this.current;
      this.current = undefined;
      await broken[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Measures, and tells whose CPU time that took; not if the server was another process afterwards. */
  async withCores(contender: Contender, measure: () => Promise<Round>): Promise<Round> {
    this.current ??= new LoadGenerator();
    const [{ pids }, load] = [contender, [this.current.pid]];
    const clock = await CoresClock.start(pids, load);
    const round = await measure();
    const cores = await clock.stop();
    return contender.pids.every((pid) => pids.includes(pid)) ? { ...round, cores } : round;
  }

  /** Waits until what was measured last has come to rest, everywhere. */
  async calm(): Promise<void> {
    const cpu = (): Promise<number> => cpuSecondsOf(this.contenders.flatMap(({ pids }) => pids));
    const deadline = performance.now() + CALM_MS_MAX;
    for (let before = await cpu(); performance.now() < deadline;) {
      await sleep(CALM_MS);
      const now = await cpu();
      if (now - before < (CALM_SHARE * CALM_MS) / 1000) return;
      before = now;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.current?.[Symbol.asyncDispose]();
    for (const contender of this.contenders) await contender[Symbol.asyncDispose]();
  }
}

/** One way a scenario loads a server. */
export interface Variant {
  readonly name: string;
  /** What rises from one to the next, such as connections: they make a curve then. */
  readonly load?: number;
  /** Before the first round. */
  prepare?(contender: Contender): Promise<void>;
  measure(contender: Contender, round: number): Promise<Round>;
}

export interface Plan {
  readonly title: string;
  readonly measures: readonly [Measure, ...Measure[]];
  readonly variants: readonly Variant[];
  /** Where more rounds would only take time. */
  readonly roundsMax?: number;
}

/**
 * Rounds of all contenders in turn, there and back: what else the machine does hits all of them alike. One that fails
 * is out of its variant, and its line says why.
 */
export async function compare(context: BesideContext, plan: Plan): Promise<Comparison> {
  const { contenders, options } = context;
  const lines = plan.variants.flatMap((variant) =>
    contenders.map((contender) => ({
      variant,
      contender,
      rounds: [] as Round[],
      failed: undefined as Error | undefined,
    })),
  );
  const attempt = async (line: (typeof lines)[number], work: () => Promise<void>): Promise<void> => {
    if (line.failed !== undefined) return;
    try {
      await work();
    } catch (error) {
      line.failed = error instanceof Error ? error : new Error(String(error));
      if (error instanceof NotOffered) return;
      context.say(
        `${line.contender.name}, ${line.variant.name}: ${line.failed.stack ?? line.failed.message}`,
      );
    }
  };
  for (const line of lines) await attempt(line, async () => line.variant.prepare?.(line.contender));
  const rounds = Math.min(options.rounds, plan.roundsMax ?? Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const variant of plan.variants) {
      const turn = lines.filter((line) => line.variant === variant);
      for (const line of round % 2 === 0 ? turn : turn.reverse()) {
        await attempt(line, async () => {
          context.say(`round ${round + 1} of ${rounds}: ${variant.name}: ${line.contender.name}`);
          await context.calm();
          const measure = (): Promise<Round> => variant.measure(line.contender, round);
          line.rounds.push(await context.withCores(line.contender, measure));
        });
      }
    }
  }
  return { title: plan.title, measures: plan.measures, lines: lines.map(asLine), goals: [] };
}

function whyNot(failed: Error): string {
  const [message = ""] = failed.message.split("\n");
  return failed instanceof NotOffered ? message : `failed: ${message}`;
}

function asLine(line: {
  readonly variant: Variant;
  readonly contender: Contender;
  readonly rounds: readonly Round[];
  readonly failed: Error | undefined;
}): Line {
  const { variant, contender, rounds, failed } = line;
  return {
    variant: variant.name,
    contender: contender.name,
    ...(variant.load !== undefined && { load: variant.load }),
    rounds,
    ...(failed !== undefined && { failed: whyNot(failed) }),
  };
}
