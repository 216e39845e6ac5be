import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { buildApp, allRoutes } from "./app.js";
import { Authenticator } from "./auth/authenticator.js";
import { Gate } from "./http/access.js";
import { DrainList } from "./http/drain.js";
import { RateLimit } from "./http/rate-limit.js";
import { Metrics } from "./metrics.js";
import { readSettings } from "./settings.js";

/** What holds nobody's data, and so is for everybody. */
const OPEN = ["/.well-known/jwks.json", "/docs", "/openapi.json", "/v1/socket/websocket"];

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
    const parts = {
      settings: readSettings({}, {}),
      service: undefined as never,
      metrics: new Metrics({ viewLagBytes: zero, queueBytes: zero, openLogs: zero, erasuresPending: zero }),
      drains: new DrainList(),
      logger: pino({ level: "silent" }),
      origins: { allowed: ["*"], loopbackOnly: false },
      gate: new Gate(authenticator, { tenant: limit, address: limit }, false),
      authenticator,
    };
    const app = buildApp(parts);
    await app.ready();
    const served = pathsIn(app.printRoutes({ commonPrefix: false }));
    const table = allRoutes(parts).map(({ path }) => path);
    expect([...new Set(served)].sort()).toEqual([...new Set([...table, ...OPEN])].sort());
    await app.close();
  });
});
