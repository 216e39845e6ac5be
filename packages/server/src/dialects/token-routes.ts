import type { FastifyInstance } from "fastify";
import type { Authenticator } from "../auth/authenticator.js";
import { readSessionTokenRequest, SessionTokenAnswer, SessionTokenBody } from "../auth/session-tokens.js";
import { type Route, sendJson } from "../http/route.js";

const BODY_BYTES_MAX = 16 * 1024;

/** Where an API key is turned into a token for a browser or an agent. Served with auth off too: clients insist. */
export function tokenRoutes(authenticator: Authenticator): Route[] {
  return [
    {
      method: "POST",
      path: "/api/v1/session-tokens",
      access: { locked: "handled" },
      summary: "Mint a session token",
      description:
        "For a user or an agent of the key's tenant, for one session, never wider than the key. It ends with the key.",
      body: SessionTokenBody,
      success: {
        status: 200,
        description: "The token, and for how many seconds it is good.",
        schema: SessionTokenAnswer,
      },
      errors: [
        "invalid_request",
        "invalid_session_id",
        "unauthorized",
        "forbidden",
        "forbidden_scope",
        "forbidden_session",
      ],
      bodyBytesMax: BODY_BYTES_MAX,
      handle: async ({ caller, body, reply }) => {
        const { token, expiresIn } = await authenticator.mint(caller, readSessionTokenRequest(body));
        return sendJson(
          reply.header("cache-control", "no-store"),
          200,
          JSON.stringify({ token, expires_in: expiresIn }),
        );
      },
    },
  ];
}

/** The public halves of our keys, for whoever verifies our tokens. */
export function registerPublicKeys(app: FastifyInstance, authenticator: Authenticator): void {
  app.get("/.well-known/jwks.json", (_request, reply) =>
    sendJson(
      reply.header("cache-control", "public, max-age=60"),
      200,
      JSON.stringify(authenticator.publicKeys),
    ),
  );
}
