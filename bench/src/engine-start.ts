import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fillStore } from "./engine-fill-store.js";
import { Folder } from "./engine-store.js";
import type { BenchOptions } from "./options.js";
import { judged, type Row } from "./row.js";

/** Starts of a full store: after kill -9, after a clean close, and without its views. */
export async function starts({ full }: BenchOptions): Promise<Row[]> {
  const [sessions, events] = full ? [100_000, 5_000_000] : [10_000, 500_000];
  await using folder = await Folder.make();
  await fillStore({
    folder: folder.data,
    prefix: "filled-",
    sessionCount: sessions,
    eventCount: events,
    eventsPerAppend: 1,
    then: "go on",
  });
  const killed = await timedOpen(folder);
  const clean = await timedOpen(folder);
  await rm(join(folder.data, "views"), { recursive: true });
  const rebuilt = await timedOpen(folder);
  const size = `${events.toLocaleString("en-US")} events in ${sessions.toLocaleString("en-US")} sessions`;
  return [
    judged({ name: `start after kill -9: ${size}`, value: killed / 1000, unit: "s" }, { atMost: 5 }),
    judged({ name: "start after a clean close", value: clean / 1000, unit: "s" }, { atMost: 1 }),
    judged(
      { name: "views made anew", value: (events / rebuilt) * 1000, unit: "events/s" },
      { atLeast: 200_000 },
    ),
  ];
}

async function timedOpen(folder: Folder): Promise<number> {
  const startedAt = performance.now();
  const engine = await folder.open();
  const ms = performance.now() - startedAt;
  await engine.close();
  return ms;
}
