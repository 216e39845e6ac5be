import { DaybookError } from "@daybook/protocol";
import type { FastifyInstance } from "fastify";
import type { Route } from "./route.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/** A path that exists answers methods it does not have with those that it has. */
export function refuseOtherMethods(
  app: FastifyInstance,
  routes: readonly Pick<Route, "method" | "path">[],
): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const known = routes.filter((route) => route.path === path).map(({ method }) => method as string);
    const allow = [...known, "OPTIONS"].join(", ");
    app.route({
      method: METHODS.filter((method) => !known.includes(method)),
      url: path,
      // Before a body is looked at: nothing that it says could make the call right.
      onRequest: (request, reply, done) => {
        void reply.header("allow", allow);
        done(
          new DaybookError("method_not_allowed", `${request.method} is not for this path; it has ${allow}.`),
        );
      },
      handler: (_request, reply) => reply.code(405).send(),
    });
  }
}
