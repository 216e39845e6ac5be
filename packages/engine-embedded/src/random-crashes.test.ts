import { DaybookError } from "@daybook/protocol";
import {
  checkRecovered,
  type FaultyFiles,
  FaultyStore,
  Random,
  snapshotOf,
  tokenOf,
  type ViewsFate,
  Workload,
} from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import type { EmbeddedEngine } from "./engine.js";
import type { EngineSettings } from "./settings.js";

/**
 * Random work on a disk that loses its power at random moments, in several lives in a row. `DAYBOOK_SEEDS=20000` hunts
 * longer; `DAYBOOK_SEED=123` runs one seed, the one that a failure names.
 */
const SEEDS = Number(process.env["DAYBOOK_SEEDS"] ?? 500);
const ONLY = process.env["DAYBOOK_SEED"];
/** Seeds in one test: a test names the seeds it ran. */
const SEEDS_AT_ONCE = 50;

const LIVES_MAX = 4;

class Story {
  private readonly random: Random;
  private readonly workload: Workload;
  private readonly settings: Partial<EngineSettings>;
  private nowMs = 1_700_000_000_000;

  constructor(
    seed: number,
    private readonly store: FaultyStore,
  ) {
    this.random = new Random(seed);
    this.workload = new Workload(this.random.fork(), `t${seed}`);
    this.settings = {
      segmentBytes: this.random.pick([300, 2_000, 20_000]),
      recentBytesMax: this.random.pick([0, 3_000, 1_000_000]),
      viewLagBytesMax: this.random.pick([500, 5_000, 1_000_000]),
      flushDelayMs: this.random.pick([0, 1, 1_000]),
      // Also a clock that is set back.
      clock: () => (this.nowMs += this.random.between(-2, 5)),
    };
  }

  async live(): Promise<void> {
    const lives = this.random.between(1, LIVES_MAX);
    for (let life = 0; life < lives; life++) await this.oneLife();
    await this.lastLife();
  }

  private async oneLife(): Promise<void> {
    const { files } = this.store;
    files.losePowerAt(this.random.between(1, this.random.pick([8, 60])), this.random.fork());
    const engine = await this.openUnlessPowerGoes(files);
    if (engine !== undefined) {
      await this.use(engine, files);
      if (this.random.chance(0.3)) files.crash(this.random.fork());
    }
    await this.store.end();
    await this.fateOfViews();
  }

  private async openUnlessPowerGoes(files: FaultyFiles): Promise<EmbeddedEngine | undefined> {
    try {
      return await this.store.open(this.settings);
    } catch (error) {
      if (files.afterPowerLoss !== undefined) return undefined;
      throw error;
    }
  }

  private async use(engine: EmbeddedEngine, files: FaultyFiles): Promise<void> {
    const isOver = (): boolean => files.afterPowerLoss !== undefined;
    try {
      await checkRecovered(engine, this.workload);
      await this.workload.run(engine, { workers: 4, steps: this.random.upTo(12), isOver });
    } catch (error) {
      const powerIsGone = isOver() && error instanceof DaybookError && error.code === "storage_unavailable";
      if (!powerIsGone) throw error;
    }
    if (!isOver()) expect(this.store.fatal).toEqual([]);
    this.store.fatal.length = 0;
  }

  private async fateOfViews(): Promise<void> {
    if (this.random.chance(0.3)) await this.store.keepViews();
    const fate = this.random.weighted<ViewsFate>({ kept: 5, deleted: 1, older: 2, truncated: 1 });
    await this.store.changeViews(fate, (size) => this.random.upTo(size - 1));
  }

  /** Nothing fails any more: retries give what they gave, and views made anew answer the same. */
  private async lastLife(): Promise<void> {
    const engine = await this.store.open(this.settings);
    await checkRecovered(engine, this.workload);
    await this.retryAll(engine);
    await this.workload.run(engine, { workers: 3, steps: 4, isOver: () => false });
    const ids = [...this.workload.sessions.keys()];
    const before = await snapshotOf(engine, ids);
    await this.store.end();
    await this.store.changeViews("deleted");
    const again = await this.store.open(this.settings);
    await checkRecovered(again, this.workload);
    expect(await snapshotOf(again, ids)).toEqual(before);
    expect(this.store.fatal).toEqual([]);
    await this.expectErased(again);
    await this.store.end();
    expect(this.store.files.openFiles).toBe(0);
  }

  private async retryAll(engine: EmbeddedEngine): Promise<void> {
    for (const session of this.workload.sessions.values()) {
      for (const attempt of session.attempts) {
        const isNewest = [...session.newest.values()].includes(attempt);
        if (attempt.seqs !== undefined || isNewest) await this.workload.send(engine, session, attempt);
        if (session.fate !== "none" && session.fate !== "erased") expect(attempt.seqs).toBeDefined();
      }
    }
  }

  private async expectErased(engine: EmbeddedEngine): Promise<void> {
    const erased = [...this.workload.sessions.values()].filter(({ fate }) => fate === "erased");
    const gone = erased.flatMap(({ shown }) => shown.map(tokenOf));
    const left = (): string[] => {
      const log = Buffer.concat(this.store.files.names.map((name) => this.store.files.bytes(name)));
      return gone.filter((token) => log.includes(token));
    };
    await expect.poll(left, { interval: 1, timeout: 5_000 }).toEqual([]);
    void engine;
  }
}

async function runSeed(seed: number): Promise<void> {
  await using store = await FaultyStore.make();
  try {
    await new Story(seed, store).live();
  } catch (error) {
    throw new Error(`DAYBOOK_SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

describe("after a power loss at any moment, several times in a row", () => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)];
  for (let first = 0; first < seeds.length; first += SEEDS_AT_ONCE) {
    const some = seeds.slice(first, first + SEEDS_AT_ONCE);
    it(`the store holds its promises: seeds ${some[0] ?? 0} to ${some.at(-1) ?? 0}`, async () => {
      for (const seed of some) await runSeed(seed);
    });
  }
});
