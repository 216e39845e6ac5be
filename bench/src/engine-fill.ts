import { openEngine } from "@daybook/engine-embedded";
import { Sessions } from "./engine-store.js";

/** A process of its own that fills a store and goes on writing until it is killed. Says `full` when it is. */
const [folder, sessionCount, eventCount] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: engine-fill FOLDER SESSIONS EVENTS");

const engine = await openEngine(folder);
const sessions = new Sessions("filled-", Number(sessionCount));
await sessions.create(engine);
let left = Number(eventCount);
const worker = async (): Promise<void> => {
  while (left-- > 0) await sessions.appendNext(engine);
};
// Each event in a frame of its own, as agents write them; many in flight, so that it does not take all day.
await Promise.all(Array.from({ length: 512 }, worker));
process.stdout.write("full\n");
for (;;) await sessions.appendNext(engine);
