import { openEngine } from "@daybook/engine-embedded";
import { Sessions } from "./engine-store.js";
import type { FillOptions } from "./engine-fill-store.js";

/** A process of its own that fills a store, far faster than over HTTP. Says `full` when it is. */
const [json] = process.argv.slice(2);
if (json === undefined) throw new Error("usage: engine-fill OPTIONS (JSON)");
const { folder, prefix, sessionCount, eventCount, eventsPerAppend, then } = JSON.parse(json) as FillOptions;

const fatal = (error: Error): never => {
  throw error;
};
const engine = await openEngine(folder, { events: { fatal } });
const sessions = new Sessions(prefix, sessionCount);
await sessions.create(engine);
let left = eventCount;
const worker = async (): Promise<void> => {
  for (; left > 0; await sessions.appendNext(engine, eventsPerAppend)) left -= eventsPerAppend;
};
// Many in flight, so that it does not take all day, and as many events at once whatever an append holds.
await Promise.all(Array.from({ length: Math.ceil(512 / eventsPerAppend) }, worker));
if (then === "close") await engine.close();
process.stdout.write("full\n");
if (then === "go on") for (;;) await sessions.appendNext(engine);
