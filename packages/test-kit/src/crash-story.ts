import { deepStrictEqual } from "node:assert";
import { DaybookError } from "@daybook/protocol";
import type { EmbeddedEngine, EngineSettings } from "@daybook/engine-embedded";
import { checkRecovered } from "./check-recovered.js";
import type { FaultyFiles } from "./faulty-files.js";
import { FaultyStore, type ViewsFate } from "./faulty-store.js";
import { Random } from "./random.js";
import { snapshotOf } from "./snapshot.js";
import { tokenOf, Workload } from "./workload.js";

const LIVES_MAX = 4;

/**
 * A store's life story: random work, the power going at a random moment (while it opens, too), the views kept, lost or
 * older, again and again. Throws when the store breaks a promise.
 */
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
      idleLogsMax: this.random.pick([0, 2, 50_000]),
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
    if (files.afterPowerLoss === undefined) this.mustBeWell();
    this.store.fatal.length = 0;
    files.keepPower();
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
    await this.store.keepViews();
    await this.store.changeViews("deleted");
    const again = await this.store.open(this.settings);
    await checkRecovered(again, this.workload);
    deepStrictEqual(await snapshotOf(again, ids), before, "views made anew give other answers");
    await this.waitUntilErased();
    this.mustBeWell();
    await this.store.end();
    // Not for every seed, because it opens both; the answers of both were compared for all.
    if (this.random.chance(0.3))
      deepStrictEqual(await this.store.differencesFromKept(), [], "views made anew differ");
    if (this.store.files.openFiles !== 0)
      throw new Error(`${this.store.files.openFiles} files were left open`);
  }

  private async retryAll(engine: EmbeddedEngine): Promise<void> {
    for (const session of this.workload.sessions.values()) {
      for (const attempt of session.attempts) {
        const isNewest = [...session.newest.values()].includes(attempt);
        if (attempt.seqs !== undefined || isNewest) await this.workload.send(engine, session, attempt);
        if (typeof session.fate !== "string" && attempt.seqs === undefined)
          throw new Error(`${session.id}: a retry was not taken`);
      }
    }
  }

  private async waitUntilErased(): Promise<void> {
    const erased = [...this.workload.sessions.values()].filter(({ fate }) => fate === "erased");
    // What a fork shared is its parent's.
    const tokens = erased.flatMap(({ shown, sharedSeq }) => shown.slice(sharedSeq).map(tokenOf));
    const { files } = this.store;
    const gaveUpAt = performance.now() + 5_000;
    for (;;) {
      const log = Buffer.concat(files.names.map((name) => files.bytes(name)));
      const left = tokens.find((token) => log.includes(token));
      if (left === undefined) return;
      if (performance.now() > gaveUpAt) throw new Error(`${left} was erased and is still there`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private mustBeWell(): void {
    const [fatal] = this.store.fatal;
    if (fatal !== undefined) throw fatal;
  }
}

/** Tells the story of this seed. */
export async function tellStory(seed: number): Promise<void> {
  await using store = await FaultyStore.make();
  try {
    await new Story(seed, store).live();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`DAYBOOK_SEED=${seed}: ${why}`, { cause: error });
  }
}

/** Stories told at once: most of each one's time is waiting for a disk. */
const AT_ONCE = 4;

/**
 * Tells the stories of half of the seeds: 500 in all, or as many as DAYBOOK_SEEDS says; of one only, if DAYBOOK_SEED
 * names it.
 */
export async function tellStories(half: "odd" | "even"): Promise<void> {
  const only = process.env["DAYBOOK_SEED"];
  const count = Number(process.env["DAYBOOK_SEEDS"] ?? 500);
  const all = only === undefined ? Array.from({ length: count }, (_, index) => index + 1) : [Number(only)];
  const seeds = all.filter((seed) => seed % 2 === (half === "odd" ? 1 : 0)).values();
  const teller = async (): Promise<void> => {
    for (const seed of seeds) await tellStory(seed);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, teller));
}
