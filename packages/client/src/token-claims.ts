import { DaybookError, isObject } from "./errors.js";
import type { Identity } from "./wire.js";

/** What a client may know of its own token. Only the server can tell whether it is true. */
export interface TokenClaims {
  readonly tenant: string | undefined;
  readonly sessionId: string | undefined;
  readonly actor: string | undefined;
  readonly identity: Identity | undefined;
  /** From its making to its end, as the issuer's clock has it. */
  readonly lifetimeMs: number | undefined;
}

/** Reads a token without checking it. @throws DaybookError invalid_token */
export function readClaims(token: string): TokenClaims {
  const claims = payloadOf(token);
  const {
    sub,
    tenant_id: tenant,
    session_id: sessionId,
    principal_id: id,
    principal_type: type,
    exp,
    iat,
  } = claims;
  const actor =
    typeof id === "string" && typeof type === "string"
      ? `${type}:${id}`
      : typeof sub === "string"
        ? sub
        : undefined;
  return {
    tenant: typeof tenant === "string" ? tenant : undefined,
    sessionId: typeof sessionId === "string" ? sessionId : undefined,
    actor,
    identity: identityOf(actor),
    lifetimeMs: typeof exp === "number" && typeof iat === "number" ? (exp - iat) * 1_000 : undefined,
  };
}

function payloadOf(token: string): Record<string, unknown> {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below, in words that help.
  }
  throw new DaybookError("invalid_token", "The token, or API key, is no JWT. Pass it as it was made.");
}

function identityOf(actor: string | undefined): Identity | undefined {
  const [, type, id] = /^(user|agent):(.+)$/s.exec(actor ?? "") ?? [];
  return type === undefined || id === undefined ? undefined : { type: type as Identity["type"], id };
}
