import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createFront } from "./front.js";
import { NatsStore } from "./nats-store.js";
import { PostgresStore } from "./postgres-store.js";
import { RedisStore } from "./redis-store.js";
import type { Store } from "./store.js";

/** What the bench tells the program of a home-made stack. Its database runs already. */
export interface StackOptions {
  readonly database: "redis" | "postgres" | "nats";
  readonly url: string;
  /** The bearer token that is let in. */
  readonly key: string;
  /** PostgreSQL: connections that append, and whether appends of different callers share a commit. */
  readonly lanes?: number;
  readonly shared?: boolean;
}

const SHARED_EVENTS_MAX = 500;
const UP_MS_MAX = 10 * 60_000;
const LOOK_MS = 20;

function openStore({ database, url, lanes = 1, shared = true }: StackOptions): Promise<Store> {
  switch (database) {
    case "redis":
      return RedisStore.open(url);
    case "postgres":
      return PostgresStore.open(url, { lanes, eventsMax: shared ? SHARED_EVENTS_MAX : 1 });
    case "nats":
      return NatsStore.open(url);
  }
}

/** A database that has just been started, or recovers, is asked again until it is there. */
async function openWhenUp(options: StackOptions): Promise<Store> {
  const deadline = performance.now() + UP_MS_MAX;
  for (;;) {
    try {
      return await openStore(options);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(LOOK_MS);
    }
  }
}

/** A process of its own: `node stack.js OPTIONS`. Says where it listens, as JSON; ends by SIGTERM. */
const [json] = process.argv.slice(2);
if (json === undefined) throw new Error("usage: stack OPTIONS (JSON)");
const options = JSON.parse(json) as StackOptions;
const store = await openWhenUp(options);
const front = createFront({ store, key: options.key });
const url = await front.listen({ host: "127.0.0.1", port: 0 });
process.stdout.write(`${JSON.stringify({ url })}\n`);

await once(process, "SIGTERM");
front.server.closeAllConnections();
await front.close();
await store.close();
process.exit(0);
