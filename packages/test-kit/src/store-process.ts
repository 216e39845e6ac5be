import { appendOne, create, note } from "@daybook/engine/contract/commands";
import { openEngine } from "@daybook/engine-embedded";

/**
 * Run as a process of its own, to be killed: opens the store in a folder, says so, and then does what it was told.
 *
 *     hold     nothing more
 *     append   one event after the other from some writers at once; a line for each that was acknowledged
 *     close    closes the store and ends
 */
const [folder = "", task = "hold", life = "1"] = process.argv.slice(2);

const engine = await openEngine(folder, { settings: { segmentBytes: 50_000, flushDelayMs: 5 } }).catch(
  (error: unknown) => {
    process.stdout.write(`refused ${(error as { code?: string }).code ?? String(error)}\n`);
    process.exit(2);
  },
);
process.stdout.write("open\n");
if (task === "close") await engine.close();
if (task === "hold") setInterval(() => undefined, 60_000);
if (task === "append") {
  await create(engine, "s").catch(() => undefined);
  await Promise.all(["a", "b", "c"].map((name) => appendForEver(`${name}${life}`)));
}

async function appendForEver(producer: string): Promise<never> {
  for (let seq = 1; ; seq++) {
    const became = await appendOne(engine, "s", note(producer, seq, `{"n":"${producer}.${seq}"}`));
    process.stdout.write(`stored ${producer} ${seq} ${became}\n`);
  }
}
