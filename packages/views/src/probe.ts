import { statSync } from "node:fs";
import { join } from "node:path";
import { open } from "lmdb";

/**
 * Run as a process of its own: opens a folder of views and touches its tree. Damage ends this process — with an
 * error or a page fault — and not the server.
 */
const folder = process.argv[2] ?? "";
const database = open({ path: folder, encoding: "msgpack", readOnly: true });
const { pageSize, lastPageNumber } = database.getStats() as { pageSize: number; lastPageNumber: number };
if ((lastPageNumber + 1) * pageSize > statSync(join(folder, "data.mdb")).size) process.exit(1);
let touched = 0;
for (const _key of database.getKeys({ limit: 100_000 })) touched++;
for (const _key of database.getKeys({ limit: 100_000, reverse: true })) touched++;
await database.close();
process.exit(touched >= 0 ? 0 : 1);
