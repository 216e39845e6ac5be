import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Views } from "@daybook/views";
import { makeFolder } from "@daybook/engine";
import { DiskFiles } from "./disk-files.js";
import { EmbeddedEngine } from "./engine.js";
import { lockFolder } from "./folder-lock.js";
import type { LogFiles } from "./log-files.js";
import { LogTable } from "./log-table.js";
import { MemoryFiles } from "./memory-files.js";
import { recover } from "./recover.js";
import { StoreRefused } from "./refusals.js";
import { Segments } from "./segments.js";
import { ENGINE_DEFAULTS, type EngineEvents, type EngineSettings, NO_EVENTS } from "./settings.js";

export interface OpenOptions {
  readonly settings?: Partial<EngineSettings>;
  readonly events?: Partial<EngineEvents>;
}

/** Where things are in a data folder. */
export const logFolder = (dataDir: string): string => join(dataDir, "log");
export const viewsFolder = (dataDir: string): string => join(dataDir, "views");

/**
 * Opens (or begins) the store in a data folder, and holds the folder until it is closed.
 * @throws StoreRefused when the folder is in use, or its log is damaged, of another format or shorter than it was.
 */
export async function openEngine(dataDir: string, options: OpenOptions = {}): Promise<EmbeddedEngine> {
  await makeDurableFolder(logFolder(dataDir));
  const lock = lockFolder(dataDir);
  try {
    const files = new DiskFiles(logFolder(dataDir));
    return await openOn(files, viewsFolder(dataDir), {
      ...options,
      durable: true,
      release: () => lock.release(),
    });
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Makes a folder and those above it, so that they survive a power loss as the files in it do. */
async function makeDurableFolder(folder: string): Promise<void> {
  const first = await makeFolder(folder);
  if (first === undefined) return;
  const top = dirname(resolve(first));
  for (let made = resolve(folder); made !== top;) {
    made = dirname(made);
    await new DiskFiles(made).syncFolder();
  }
}

/** The same engine over files in memory. Nothing of it outlives the process. */
export async function openMemoryEngine(options: OpenOptions = {}): Promise<EmbeddedEngine> {
  const views = await mkdtemp(join(tmpdir(), "daybook-memory-"));
  // At once: a process that ends right after must not leave it behind.
  const release = (): void => rmSync(views, { recursive: true, force: true });
  return openOn(new MemoryFiles(), views, { ...options, durable: false, release });
}

/** Opens the engine on given files: how tests put a failing disk under it. */
export async function openOn(
  files: LogFiles,
  views: string,
  options: OpenOptions & { readonly durable: boolean; readonly release: () => void },
): Promise<EmbeddedEngine> {
  const settings = { ...ENGINE_DEFAULTS, ...options.settings };
  const events = { ...NO_EVENTS, ...options.events };
  const segments = await openSegments(files, views);
  const opened = await Views.open(views, segments.storeId, (message) => events.log(message)).catch(
    async (error: unknown) => {
      await segments.close();
      throw error;
    },
  );
  try {
    const table = new LogTable(opened, settings.idleLogsMax);
    const { stand, batches, cutBytes } = await recover(segments, opened, table);
    table.publishAll();
    if (batches > 0) events.log("the views were brought forward", { batches });
    if (cutBytes > 0)
      events.log("an incomplete batch that was never acknowledged was cut off", { bytes: cutBytes });
    const store = { segments, views: opened, table, durable: options.durable, release: options.release };
    const engine = new EmbeddedEngine(store, stand, settings, events);
    await engine.finishErasures();
    return engine;
  } catch (error) {
    await segments.close();
    await opened.close();
    throw error;
  }
}

/** A new log is begun only where there are no views: they would say that there was one. */
async function openSegments(files: LogFiles, views: string): Promise<Segments> {
  if (!Views.exist(views)) return Segments.open(files, "begin");
  try {
    return await Segments.open(files, "write");
  } catch (error) {
    if (!(error instanceof StoreRefused) || error.code !== "not_a_store") throw error;
    throw new StoreRefused(
      "lost_tail",
      `The log is gone, and ${views} says that there was one. Restore its files or a backup; ` +
        "to begin anew without it, remove that folder.",
    );
  }
}
