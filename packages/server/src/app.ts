import { DaybookError } from "@daybook/protocol";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { agentStateRoutes } from "./dialects/agent-state-routes.js";
import { registerDocs } from "./dialects/docs-routes.js";
import { registerRpcs } from "./dialects/rpc-routes.js";
import { sessionRoutes } from "./dialects/session-routes.js";
import { stateRoutes } from "./dialects/state-routes.js";
import { tailRoute } from "./dialects/tail-route.js";
import type { Authenticator } from "./auth/authenticator.js";
import type { Gate } from "./http/access.js";
import { conversationRoutes } from "./dialects/conversation-routes.js";
import { lifecycleRoutes } from "./dialects/lifecycle-routes.js";
import { registerPublicKeys, tokenRoutes } from "./dialects/token-routes.js";
import type { DrainList } from "./http/drain.js";
import { SOCKET_PATHS } from "./dialects/phoenix-sockets.js";
import { createHttpApp } from "./http/http-app.js";
import type { OriginPolicy } from "./http/origin-guard.js";
import { refuseOtherMethods } from "./http/refuse-methods.js";
import { registerRoutes, type Route } from "./http/route.js";
import type { RpcDoor } from "./http/rpc-door.js";
import type { Metrics } from "./metrics.js";
import { ConversationService } from "./service/conversation-service.js";
import type { AgentState } from "./service/agent-state.js";
import type { SessionService } from "./service/session-service.js";
import type { Settings } from "./settings.js";

export const VERSION = "0.1.0";

export interface AppParts {
  readonly settings: Settings;
  readonly service: SessionService;
  readonly state: AgentState;
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly logger: Logger;
  readonly origins: OriginPolicy;
  readonly gate: Gate;
  readonly authenticator: Authenticator;
  readonly door: RpcDoor;
}

/** All calls of the HTTP API. */
export function allRoutes({
  settings,
  service,
  state,
  metrics,
  drains,
  authenticator,
}: Pick<AppParts, "settings" | "service" | "state" | "metrics" | "drains" | "authenticator">): Route[] {
  const streams = { service, metrics, drains, authenticator, pingSeconds: settings.pingSeconds };
  return [
    ...sessionRoutes({ service, metrics, drains, authenticator, limits: settings }),
    tailRoute(streams),
    ...conversationRoutes({ conversations: new ConversationService(service), metrics, limits: settings }),
    ...stateRoutes(service),
    ...agentStateRoutes({ ...streams, state }),
    ...lifecycleRoutes(streams),
    ...tokenRoutes(authenticator),
  ];
}

export function buildApp(parts: AppParts): FastifyInstance {
  const { settings, metrics, drains, logger, origins, gate, authenticator } = parts;
  const app = createHttpApp({
    logger,
    metrics,
    origins,
    batchBytesMax: settings.batchBytesMax,
    requestSeconds: settings.requestSeconds,
    isDraining: () => drains.draining,
  });
  const routes = allRoutes(parts);
  registerRoutes(app, routes, gate);
  refuseOtherMethods(app, routes);
  registerPublicKeys(app, authenticator);
  registerRpcs(app, parts.door);
  // Its upgrades are taken before routing.
  for (const path of SOCKET_PATHS) {
    app.get(path, () => {
      throw new DaybookError("invalid_websocket_upgrade", "Open this path as a WebSocket.");
    });
  }
  registerDocs(app, routes, VERSION);
  return app;
}
