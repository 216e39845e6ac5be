import { randomUUID } from "node:crypto";
import { DaybookError } from "@daybook/protocol";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";
import type { Logger } from "pino";
import { Query } from "../service/query.js";
import type { Metrics } from "../metrics.js";
import { checkOrigin, type OriginPolicy } from "./origin-guard.js";
import { refuseSocket } from "./refuse-socket.js";
import { SECURITY_HEADERS } from "./security-headers.js";
import { asDaybookError, errorHeaders } from "./send-error.js";

export interface HttpOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly origins: OriginPolicy;
  readonly batchBytesMax: number;
  readonly requestSeconds: number;
  readonly isDraining: () => boolean;
}

const CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
/** Longest percent-encoded id: 256 characters of up to three bytes, each written as %XX, and room to say that it is too long. */
const PARAM_LENGTH_MAX = 8_192;

/** The HTTP server with what all routes share: raw JSON bodies, origins, errors, request ids. */
export function createHttpApp(options: HttpOptions): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = options.logger;
  const requestMs = options.requestSeconds * 1000;
  const app = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: options.batchBytesMax,
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    routerOptions: {
      maxParamLength: PARAM_LENGTH_MAX,
      querystringParser: (text) => Query.parse(text) as never,
    },
    // Slow headers and bodies: a connection that does not get on is cut.
    requestTimeout: requestMs,
    // Node looks at bodies only while the time for headers is not the longer one, and by itself it is.
    http: {
      requestTimeout: requestMs,
      headersTimeout: requestMs,
      connectionsCheckingInterval: Math.min(requestMs / 4, 5_000),
    },
    clientErrorHandler: (error, socket) => {
      // No more is read: the rest of a body that came too late would still be carried out.
      socket.pause();
      refuseSocket(socket, asDaybookError(error));
    },
    connectionTimeout: 0,
    keepAliveTimeout: 65_000,
    forceCloseConnections: false,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });
  app.removeAllContentTypeParsers();
  // The text that came in is the text that goes out, so bodies stay bytes here.
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => {
    const { "content-encoding": encoding = "identity" } = request.headers;
    if (encoding.toLowerCase() === "identity") done(null, body);
    else
      done(new DaybookError("unsupported_media_type", "Send the body as it is, without Content-Encoding."));
  });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(unknownRoute(request), request, reply));
  addDrainHook(app, options);
  addOriginHooks(app, options);
  app.addHook("onResponse", (request, reply, done) => {
    options.metrics.requests.inc({ status: String(reply.statusCode) });
    request.log.debug({
      method: request.method,
      route: request.routeOptions.url,
      status: reply.statusCode,
      ms: reply.elapsedTime,
    });
    done();
  });
  return app;
}

/** Routes check and write their bodies themselves; fastify's own compilers would only make a start longer. */
function noCompiler(): never {
  throw new Error("broken invariant: no route gives fastify a schema");
}

/** A connection that is kept would keep the server from stopping: whoever is answered last gets told. */
function addDrainHook(app: FastifyInstance, { isDraining }: HttpOptions): void {
  app.addHook("onSend", (_request, reply, _payload, done) => {
    if (isDraining()) void reply.header("connection", "close");
    done();
  });
}

function addOriginHooks(app: FastifyInstance, { origins }: HttpOptions): void {
  app.addHook("onRequest", (request, reply, done) => {
    void reply.headers({ "x-request-id": request.id, ...SECURITY_HEADERS });
    const { host, origin } = request.headers;
    let allowed: string | undefined;
    try {
      allowed = checkOrigin({ host, origin }, origins);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (allowed !== undefined) {
      void reply.headers({
        "access-control-allow-origin": allowed,
        "access-control-expose-headers": "*",
        vary: "origin",
      });
    }
    if (request.method !== "OPTIONS") {
      done();
      return;
    }
    void reply
      .code(204)
      .headers({
        "access-control-allow-methods": CORS_METHODS,
        "access-control-allow-headers": request.headers["access-control-request-headers"] ?? "*",
        "access-control-max-age": "600",
      })
      .send();
  });
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = asDaybookError(error);
  if (known.facts.http >= 500)
    request.log.error({ err: known.cause ?? known, code: known.code }, "a request failed");
  // The code only: the message repeats what was sent.
  else request.log.debug({ code: known.code }, "refused");
  return reply
    .code(known.facts.http)
    .headers({ ...errorHeaders(known), "content-type": "application/json; charset=utf-8" })
    .send(JSON.stringify(known.toBody()));
}

function unknownRoute(request: FastifyRequest): DaybookError {
  return new DaybookError(
    "not_found",
    `There is no ${request.method} ${request.url.split("?")[0]?.slice(0, 200) ?? ""}. GET /docs shows what there is.`,
  );
}
