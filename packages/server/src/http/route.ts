import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import type { Caller } from "../service/caller.js";
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
  readonly summary: string;
  readonly description?: string;
  readonly query?: readonly QueryParameter[];
  readonly body?: TSchema;
  readonly success: { readonly status: number; readonly description: string; readonly schema?: TSchema };
  /** Codes of the error table this call can answer with, beside those that every call can. */
  readonly errors: readonly string[];
  /** Largest body, in bytes; the server's own limit if left out. */
  readonly bodyBytesMax?: number;
  handle(call: Call): Promise<FastifyReply> | FastifyReply;
}

export function registerRoutes(
  app: FastifyInstance,
  routes: readonly Route[],
  callerOf: (request: FastifyRequest) => Caller,
): void {
  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      ...(route.bodyBytesMax !== undefined && { bodyLimit: route.bodyBytesMax }),
      handler: (request, reply) =>
        route.handle({
          caller: callerOf(request),
          params: request.params as Record<string, string>,
          query: request.query as Query,
          body: request.body as Buffer | undefined,
          request,
          reply,
        }),
    });
  }
}

/** Answers with JSON that is text already. */
export function sendJson(reply: FastifyReply, status: number, json: string | Buffer): FastifyReply {
  return reply.code(status).header("content-type", "application/json; charset=utf-8").send(json);
}
