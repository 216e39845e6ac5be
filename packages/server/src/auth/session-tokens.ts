import { randomBytes } from "node:crypto";
import { DaybookError, type JsonShape, whyNotAnId } from "@daybook/protocol";
import { Type, type Static } from "typebox";
import type { Caller } from "../service/caller.js";
import { bodyReader } from "../service/read-body.js";
import { whyNotAPrincipal } from "./caller-of-claims.js";
import type { KeyRing } from "./key-ring.js";

/** A token for one session and one principal: what a browser or an agent gets. */
export const SESSION_TOKEN_SECONDS_MAX = 7 * 24 * 3600;
export const SESSION_TOKEN_SECONDS_DEFAULT = 3600;

export const SessionTokenBody = Type.Object({
  session_id: Type.String(),
  principal: Type.Object({ type: Type.Enum(["user", "agent"]), id: Type.String() }),
  scopes: Type.Array(Type.Enum(["session:read", "session:append"]), { minItems: 1 }),
  ttl_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: SESSION_TOKEN_SECONDS_MAX })),
});

export const SessionTokenAnswer = Type.Object({
  token: Type.String(),
  expires_in: Type.Integer({ minimum: 1 }),
});

const SHAPE: JsonShape = {
  members: {
    session_id: "value",
    principal: { members: { type: "value", id: "value" } },
    scopes: "value",
    ttl_seconds: "value",
  },
};

const readBody = bodyReader(SessionTokenBody, SHAPE, { code: "invalid_request" });

export interface SessionTokenRequest {
  readonly sessionId: string;
  readonly principal: Static<typeof SessionTokenBody>["principal"];
  readonly scopes: readonly string[];
  readonly ttlSeconds: number;
}

/** @throws DaybookError invalid_request, invalid_session_id */
export function readSessionTokenRequest(body: Buffer | undefined): SessionTokenRequest {
  const { session_id: sessionId, principal, scopes, ttl_seconds: ttlSeconds } = readBody(body);
  const why = whyNotAnId(sessionId);
  if (why !== undefined) throw new DaybookError("invalid_session_id", `session_id ${why}.`);
  const whyNotHim = whyNotAPrincipal(principal.type, principal.id);
  if (whyNotHim !== undefined) throw new DaybookError("invalid_request", `principal.id ${whyNotHim}.`);
  return { sessionId, principal, scopes, ttlSeconds: ttlSeconds ?? SESSION_TOKEN_SECONDS_DEFAULT };
}

/** Only a service hands out tokens, and never wider ones than its own. */
export function requireMayMint(caller: Caller, { scopes, sessionId }: SessionTokenRequest): void {
  if (caller.principal.type !== "service") {
    throw new DaybookError("forbidden", "Session tokens are minted with an API key.");
  }
  for (const scope of scopes) {
    if (!caller.scopes.has(scope))
      throw new DaybookError("forbidden_scope", `This key does not have the scope ${scope} itself.`);
  }
  if (caller.sessionLock !== undefined && caller.sessionLock !== sessionId) {
    throw new DaybookError("forbidden_session", "This token is for another session.");
  }
}

/** Signs a session token. It ends with the key it was minted with. */
export async function mintSessionToken(
  ring: KeyRing,
  issuer: string,
  { sessionId, principal, scopes, ttlSeconds }: SessionTokenRequest,
  by: { readonly tenant: string; readonly keyId?: string; readonly expiresAtMs?: number },
): Promise<{ readonly token: string; readonly expiresIn: number }> {
  const now = Math.floor(Date.now() / 1000);
  const ends = Math.min(
    now + ttlSeconds,
    by.expiresAtMs === undefined ? Infinity : Math.floor(by.expiresAtMs / 1000),
  );
  const claims = {
    iss: issuer,
    jti: `tok_${randomBytes(9).toString("base64url")}`,
    sub: `${principal.type}:${principal.id}`,
    tenant_id: by.tenant,
    principal_type: principal.type,
    principal_id: principal.id,
    session_id: sessionId,
    scope: scopes.join(" "),
    scopes,
    ...(by.keyId !== undefined && { api_key: by.keyId }),
  };
  return { token: await ring.sign(claims, ends), expiresIn: Math.max(1, ends - now) };
}
