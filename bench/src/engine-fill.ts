import { openEngine } from "@daybook/engine-embedded";
import { Sessions } from "./engine-store.js";

/** A process of its own that fills a store and goes on writing until it is killed. Says `full` when it is. */
const [folder, sessionCount, eventCount] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: engine-fill FOLDER SESSIONS EVENTS");

const engine = await openEngine(folder);
const sessions = new Sessions("filled-", Number(sessionCount));
await sessions.create(engine);
const PER_APPEND = 10;
let appended = 0;
const worker = async (): Promise<void> => {
  for (; appended < Number(eventCount); appended += PER_APPEND) await sessions.appendNext(engine, PER_APPEND);
};
await Promise.all(Array.from({ length: 64 }, worker));
process.stdout.write("full\n");
for (;;) await sessions.appendNext(engine);
