import type { FastifyInstance } from "fastify";
import type { Route } from "../http/route.js";
import { DOCS_PAGE } from "./docs-page.js";
import { openApiDocument } from "./openapi.js";

/** `/openapi.json` for machines and `/docs` for people, from the same table that registers the routes. */
export function registerDocs(app: FastifyInstance, routes: readonly Route[], version: string): void {
  const document = JSON.stringify(openApiDocument(routes, version));
  app.get("/openapi.json", (_request, reply) => reply.type("application/json; charset=utf-8").send(document));
  app.get("/docs", (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; " +
          "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
      )
      .send(DOCS_PAGE),
  );
}
