import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type EmbeddedEngine,
  type EngineEvents,
  type EngineSettings,
  openOn,
} from "@daybook/engine-embedded";
import { compareViews, Views } from "@daybook/views";
import { FaultyFiles } from "./faulty-files.js";

/** What became of the views between two starts. */
export type ViewsFate = "kept" | "deleted" | "older" | "truncated";

const IN_MEMORY = "/dev/shm";

/** What a power loss leaves of the views is said by the tests, so nothing is gained by waiting for a disk. */
const parent = existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir();

/** The embedded engine on faulty files, with its views in a folder of their own; to be opened again and again. */
export class FaultyStore implements AsyncDisposable {
  files = new FaultyFiles();
  /** What the engine called fatal. */
  readonly fatal: Error[] = [];
  readonly logged: string[] = [];
  private engine: EmbeddedEngine | undefined;

  private constructor(readonly folder: string) {}

  static async make(): Promise<FaultyStore> {
    return new FaultyStore(await mkdtemp(join(parent, "daybook-faulty-")));
  }

  get views(): string {
    return join(this.folder, "views");
  }

  async open(
    settings: Partial<EngineSettings> = {},
    events: Partial<EngineEvents> = {},
  ): Promise<EmbeddedEngine> {
    this.engine = await openOn(this.files, this.views, {
      durable: true,
      release: () => undefined,
      settings: { flushDelayMs: 1, reserveBytes: 0, ...settings },
      events: {
        fatal: (error) => this.fatal.push(error),
        log: (message) => this.logged.push(message),
        ...events,
      },
    });
    return this.engine;
  }

  /** The process ends: as after a close when the power is on, else with what the power loss left. */
  async end(): Promise<void> {
    await this.engine?.close();
    this.engine = undefined;
    this.files = this.files.afterPowerLoss ?? this.files;
  }

  async reopen(settings: Partial<EngineSettings> = {}): Promise<EmbeddedEngine> {
    await this.end();
    return this.open(settings);
  }

  /** Keeps a copy of the views, to come back as an older one. Only while the store is closed. */
  async keepViews(): Promise<void> {
    await rm(this.older, { recursive: true, force: true });
    if (await exists(this.views)) await cp(this.views, this.older, { recursive: true });
  }

  /** Only while the store is closed. */
  async changeViews(fate: ViewsFate, truncateTo: (size: number) => number = () => 0): Promise<void> {
    const data = join(this.views, "data.mdb");
    if (fate === "deleted") await rm(this.views, { recursive: true, force: true });
    if (fate === "truncated" && (await exists(data)))
      await truncate(data, truncateTo((await stat(data)).size));
    if (fate === "older" && (await exists(this.older))) {
      await rm(this.views, { recursive: true, force: true });
      await cp(this.older, this.views, { recursive: true });
    }
  }

  /** How the views differ, record by record, from those that were kept. Only while the store is closed. */
  async differencesFromKept(): Promise<string[]> {
    const [name = ""] = this.files.names;
    // Where a segment's header has the id of its store.
    const storeId = this.files.bytes(name).toString("hex", 40, 56);
    const kept = await Views.open(this.older, storeId);
    const now = await Views.open(this.views, storeId);
    const { differences } = compareViews(kept, now);
    await kept.close();
    await now.close();
    return differences;
  }

  /** Every byte on the disk, log and views. */
  async everything(): Promise<Buffer> {
    const views = await readdir(this.views).catch(() => []);
    const parts = await Promise.all(views.map((name) => readFile(join(this.views, name))));
    return Buffer.concat([...this.files.names.map((name) => this.files.bytes(name)), ...parts]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // After a failure the engine may not close either; the failure is what counts.
    await this.engine?.close().catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }

  private get older(): string {
    return join(this.folder, "older-views");
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
