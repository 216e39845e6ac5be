import { DaybookError, type PrincipalType, whyNotAName, whyNotAnId } from "@daybook/protocol";
import type { JWTPayload } from "jose";
import type { Caller } from "../service/caller.js";

/** How `sub` names kinds of principals. */
const PRINCIPAL_TYPES: ReadonlyMap<string, PrincipalType> = new Map([
  ["user", "user"],
  ["agent", "agent"],
  ["service", "service"],
  ["svc", "service"],
  ["org", "service"],
]);

const TENANT_BYTES_MAX = 256;

/** Begins the `jti` of API keys; session tokens name the key they were minted with in `api_key`. */
export const API_KEY_PREFIX = "key_";

/**
 * Whom a verified token speaks for.
 * @throws DaybookError unauthorized, saying which claim is missing or wrong
 */
export function callerOfClaims(claims: JWTPayload): Caller {
  const [type, id] = principalOf(text(claims.sub, "sub"));
  const tenant = text(claims.tenant_id, "tenant_id");
  if (whyNotATenant(tenant) !== undefined) throw bad("tenant_id is no id");
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

/** Why a text cannot be a tenant, or undefined when it can: views keep tenants in keys, which are short. */
export function whyNotATenant(tenant: string): string | undefined {
  if (Buffer.byteLength(tenant) > TENANT_BYTES_MAX) return `must be at most ${TENANT_BYTES_MAX} bytes`;
  return whyNotAnId(tenant);
}

/** Why a principal cannot have this id: it stands in the actor of every event, never in a path. */
export function whyNotAPrincipal(type: PrincipalType, id: string): string | undefined {
  return id === "" ? "must not be empty" : whyNotAName(`${type}:${id}`);
}

function principalOf(sub: string): [PrincipalType, string] {
  const colon = sub.indexOf(":");
  const type = colon < 0 ? undefined : PRINCIPAL_TYPES.get(sub.slice(0, colon));
  const id = sub.slice(colon + 1);
  if (type === undefined || whyNotAPrincipal(type, id) !== undefined)
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
  return typeof claims.jti === "string" && claims.jti.startsWith(API_KEY_PREFIX) ? claims.jti : undefined;
}

function text(claim: unknown, name: string): string {
  if (typeof claim === "string" && claim !== "") return claim;
  throw bad(`${name} is missing`);
}

function bad(why: string): DaybookError {
  return new DaybookError("unauthorized", `The token is not valid here: ${why}.`);
}
