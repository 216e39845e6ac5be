import type { FastifyInstance } from "fastify";
import { refuseOtherMethods } from "../http/refuse-methods.js";
import type { RpcDoor } from "../http/rpc-door.js";

/** The same rpcs on the main port, for gRPC-web and Connect: what browsers and plain HTTP clients can speak. */
export function registerRpcs(app: FastifyInstance, door: RpcDoor): void {
  // A scope of its own: in it, bodies are left to the door.
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    for (const path of door.paths) {
      scope.post(path, (request, reply) => {
        const headers = reply.getHeaders();
        reply.hijack();
        for (const [name, value] of Object.entries(headers)) {
          if (value !== undefined) reply.raw.setHeader(name, value);
        }
        door.handle(request.raw, reply.raw);
      });
    }
    done();
  });
  refuseOtherMethods(
    app,
    door.paths.map((path) => ({ method: "POST", path })),
  );
}
