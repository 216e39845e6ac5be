import { DaybookError, type PrincipalType, whyNotAnId } from "@daybook/protocol";
import type { JWTPayload } from "jose";
import type { Caller } from "../service/caller.js";

/** How `sub` names kinds of principals. */
const PRINCIPAL_TYPES: Readonly<Record<string, PrincipalType>> = {
  user: "user",
  agent: "agent",
  service: "service",
  svc: "service",
  org: "service",
};

const TENANT_BYTES_MAX = 256;

/**
 * Whom a verified token speaks for.
 * @throws DaybookError unauthorized, saying which claim is missing or wrong
 */
export function callerOfClaims(claims: JWTPayload): Caller {
  const [type, id] = principalOf(text(claims.sub, "sub"));
  const tenant = text(claims.tenant_id, "tenant_id");
  if (whyNotAnId(tenant) !== undefined || Buffer.byteLength(tenant) > TENANT_BYTES_MAX)
    throw bad("tenant_id is no id");
  const sessionLock = claims.session_id === undefined ? undefined : text(claims.session_id, "session_id");
  const keyId = keyIdOf(claims);
  if (claims.exp === undefined) throw bad("exp is missing");
  return {
    principal: { tenant, type, id },
    anyActor: false,
    scopes: scopesOf(claims),
    expiresAtMs: claims.exp * 1000,
    ...(sessionLock !== undefined && { sessionLock }),
    ...(keyId !== undefined && { keyId }),
  };
}

function principalOf(sub: string): [PrincipalType, string] {
  const colon = sub.indexOf(":");
  const type = colon < 0 ? undefined : PRINCIPAL_TYPES[sub.slice(0, colon)];
  const id = sub.slice(colon + 1);
  if (type === undefined || whyNotAnId(id) !== undefined)
    throw bad("sub must be TYPE:ID, like agent:planner");
  return [type, id];
}

/** `scope` as text with spaces, `scopes` as a list; both count. */
function scopesOf(claims: JWTPayload): ReadonlySet<string> {
  const scopes = new Set<string>();
  if (typeof claims.scope === "string")
    for (const scope of claims.scope.split(" ")) if (scope !== "") scopes.add(scope);
  if (Array.isArray(claims.scopes)) {
    for (const scope of claims.scopes as unknown[]) if (typeof scope === "string") scopes.add(scope);
  }
  if (scopes.size === 0) throw bad("scope is missing");
  return scopes;
}

/** The API key a token is, or was minted with: both die with it. */
function keyIdOf(claims: JWTPayload): string | undefined {
  if (typeof claims.api_key === "string") return claims.api_key;
  return typeof claims.jti === "string" ? claims.jti : undefined;
}

function text(claim: unknown, name: string): string {
  if (typeof claim === "string" && claim !== "") return claim;
  throw bad(`${name} is missing`);
}

function bad(why: string): DaybookError {
  return new DaybookError("unauthorized", `The token is not valid here: ${why}.`);
}
