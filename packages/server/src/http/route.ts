import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import type { Caller } from "../service/caller.js";
import type { Access, Gate } from "./access.js";
import type { Query } from "../service/query.js";

/** What a handler gets of a request. */
export interface Call {
  readonly caller: Caller;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Buffer | undefined;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface QueryParameter {
  readonly name: string;
  readonly description: string;
  readonly schema: TSchema;
}

/**
 * One call of the HTTP API. The same table registers the routes, makes the OpenAPI document and, in tests, says what
 * has to be tried: a route cannot be forgotten.
 */
export interface Route {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** With fastify's `:name` parameters. */
  readonly path: string;
  /** Who may call. What everybody may is no route of this table: documents and public keys. */
  readonly access: Access;
  readonly summary: string;
  readonly description?: string;
  readonly query?: readonly QueryParameter[];
  /** Headers that mean something here and not everywhere. */
  readonly headers?: readonly QueryParameter[];
  readonly body?: TSchema;
  readonly success: { readonly status: number; readonly description: string; readonly schema?: TSchema };
  /** Codes of the error table this call can answer with, beside those that every call can. */
  readonly errors: readonly string[];
  /** Largest body, in bytes; the server's own limit if left out. */
  readonly bodyBytesMax?: number;
  handle(call: Call): Promise<FastifyReply> | FastifyReply;
}

export function registerRoutes(app: FastifyInstance, routes: readonly Route[], gate: Gate): void {
  app.decorateRequest("caller");
  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      ...(route.bodyBytesMax !== undefined && { bodyLimit: route.bodyBytesMax }),
      // Before the body is read: nobody's megabytes are taken in without a token.
      onRequest: (request, _reply, done) => admit(gate, route, request, done),
      handler: (request, reply) =>
        route.handle({
          caller: (request as Admitted).caller,
          params: request.params as Record<string, string>,
          query: request.query as Query,
          body: request.body as Buffer | undefined,
          request,
          reply,
        }),
    });
  }
}

type Admitted = FastifyRequest & { caller: Caller };

function admit(gate: Gate, route: Route, request: FastifyRequest, done: (error?: Error) => void): void {
  const settle = (caller: Caller): void => {
    (request as Admitted).caller = caller;
    done();
  };
  try {
    const { access } = route;
    const query = request.query as Query;
    // A query that cannot be read is a bad request, not a missing token.
    if (access.tokenInQuery === true) query.refuseBad("invalid_request");
    const token = gate.tokenOf(request.raw, query, access);
    const caller = gate.admit(request.raw, token, access, (request.params as { id?: string }).id);
    if (caller instanceof Promise) caller.then(settle, done);
    else settle(caller);
  } catch (error) {
    done(error as Error);
  }
}

/** Answers with JSON that is text already. */
export function sendJson(reply: FastifyReply, status: number, json: string | Buffer): FastifyReply {
  return reply.code(status).header("content-type", "application/json; charset=utf-8").send(json);
}
