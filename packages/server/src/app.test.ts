import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { buildApp, allRoutes } from "./app.js";
import { Authenticator } from "./auth/authenticator.js";
import { Gate } from "./http/access.js";
import { statehouseRpcs } from "./dialects/statehouse-rpcs.js";
import { RpcDoor } from "./http/rpc-door.js";
import { DrainList } from "./http/drain.js";
import { RateLimit } from "./http/rate-limit.js";
import { Metrics } from "./metrics.js";
import { SOCKET_PATHS } from "./dialects/phoenix-sockets.js";
import { readSettings } from "./settings.js";

/** What holds nobody's data, and so is for everybody. */
const OPEN = ["/.well-known/jwks.json", "/docs", "/openapi.json", ...SOCKET_PATHS];

/** What says only that there is a server, and which. */
const OPEN_RPCS = ["Health", "Version"].map((rpc) => `/statehouse.v1.StatehouseService/${rpc}`);

/** The paths of fastify's drawing of its routes: four characters a level, each line going on where its parent ends. */
function pathsIn(drawing: string): string[] {
  const parents: string[] = [];
  return drawing.split("\n").flatMap((line) => {
    const [, indent, part, methods] = /^([\s│]*)[├└]── (\S+)( \()?/.exec(line) ?? [];
    if (indent === undefined || part === undefined) return [];
    const level = indent.length / 4;
    const path = `${level === 0 ? "" : (parents[level - 1] ?? "")}${part}`;
    parents[level] = path;
    return methods === undefined ? [] : [path];
  });
}

describe("the HTTP app", () => {
  test("has no path but those of the route table, where every call asks for a token, and a few that hold nobody's data", async () => {
    const authenticator = new Authenticator("jwt", undefined as never, "https://d.example", undefined);
    const zero = (): number => 0;
    const limit = new RateLimit(0, "tenant");
    const metrics = new Metrics({
      ...{ viewLagBytes: zero, queueBytes: zero, openLogs: zero, erasuresPending: zero },
      ...{ openTransactions: zero, stagedBytes: zero },
    });
    const logger = pino({ level: "silent" });
    const gate = new Gate(authenticator, { tenant: limit, address: limit }, false);
    const rpcs = statehouseRpcs({
      ...{ state: undefined as never, transactions: undefined as never, version: "0" },
      ...{ authenticator, metrics, logger },
    });
    expect(rpcs.filter(({ access }) => access === undefined).map(({ path }) => path)).toEqual(OPEN_RPCS);
    const parts = {
      ...{
        settings: readSettings({}, {}),
        service: undefined as never,
        metrics,
        logger,
        gate,
        authenticator,
      },
      ...{ drains: new DrainList(), state: undefined as never },
      origins: { allowed: ["*"], loopbackOnly: false },
      door: new RpcDoor(rpcs, gate, logger),
    };
    const app = buildApp(parts);
    await app.ready();
    const served = pathsIn(app.printRoutes({ commonPrefix: false }));
    const table = allRoutes(parts).map(({ path }) => path);
    const known = [...table, ...OPEN, ...parts.door.paths];
    expect([...new Set(served)].sort()).toEqual([...new Set(known)].sort());
    await app.close();
  });
});
