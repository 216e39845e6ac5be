import { once } from "node:events";
import { DurableStreamTestServer, FileBackedStreamStore } from "@durable-streams/server";

/** More streams than any scenario appends to: with its default of 100 the store closes files that it is writing to. */
const FILES_MAX = 5_000;

/** A process of its own: `node durable-streams.js FOLDER`, the reference server over files. */
const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: durable-streams FOLDER");

// Its log; what is read from outside is only the line that says where it listens.
console.info = console.error;
const server = new DurableStreamTestServer({ host: "127.0.0.1", port: 0 });
// The server passes no option on to its store, so it gets one that is made here.
Object.assign(server, { store: new FileBackedStreamStore({ dataDir: folder, maxFileHandles: FILES_MAX }) });
const url = await server.start();
process.stdout.write(`${JSON.stringify({ url })}\n`);
await once(process, "SIGTERM");
await server.stop();
process.exit(0);
