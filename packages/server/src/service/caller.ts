import { DaybookError, type Principal } from "@daybook/protocol";
import { SCOPES } from "../auth/scopes.js";

/** Who makes a request, and what they may do. */
export interface Caller {
  readonly principal: Principal;
  /** Events may name any actor: auth is off, there is nothing to hold them to. */
  readonly anyActor: boolean;
  readonly scopes: ReadonlySet<string>;
  /** The only session this caller may touch. */
  readonly sessionLock?: string;
  /** When the token ends; open tails end then too. */
  readonly expiresAtMs?: number;
  /** The API key that the token is, or was minted with. */
  readonly keyId?: string;
}

/** With auth off, everybody on this machine is this service. */
export const OPEN_CALLER: Caller = {
  principal: { tenant: "default", type: "service", id: "default" },
  anyActor: true,
  scopes: new Set(SCOPES),
};

/** @throws DaybookError forbidden_scope */
export function requireScope(caller: Caller, scope: string): void {
  if (caller.scopes.has(scope)) return;
  throw new DaybookError("forbidden_scope", `This needs a token with the scope ${scope}.`);
}

/** @throws DaybookError forbidden_session when the token is for another session. */
export function requireSession(caller: Caller, sessionId: string): void {
  if (caller.sessionLock === undefined || caller.sessionLock === sessionId) return;
  throw new DaybookError("forbidden_session", "This token is for another session.");
}

/** @throws DaybookError forbidden_session when the token is for one session only. */
export function requireNoLock(caller: Caller): void {
  if (caller.sessionLock === undefined) return;
  throw new DaybookError(
    "forbidden_session",
    "This token is for one session; this call is about all of them.",
  );
}
