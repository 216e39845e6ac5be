import type { IncomingMessage } from "node:http";
import { DaybookError } from "@daybook/protocol";
import type { Authenticator } from "../auth/authenticator.js";
import { type Caller, requireNoLock, requireScope, requireSession } from "../service/caller.js";
import type { RateLimit } from "./rate-limit.js";

/** What a call asks of its caller. */
export interface Access {
  /** The scope it needs; none when holding any token is enough. */
  readonly scope?: string;
  /**
   * What a token that is for one session may do: `own`: the call names a session, which must be that one; `none`: nothing;
   * `handled`: the call itself looks.
   */
  readonly locked: "own" | "none" | "handled";
  /** The token may also stand in the query as `access_token`: an EventSource or a WebSocket can set no headers. */
  readonly tokenInQuery?: boolean;
}

/** Decides who may make a call. */
export class Gate {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly limits: { readonly tenant: RateLimit; readonly address: RateLimit },
    private readonly trustProxy: boolean,
  ) {}

  /**
   * The caller, if he may; at once when his token was seen before.
   * @throws DaybookError unauthorized, forbidden_scope, forbidden_session, rate_limited
   */
  admit(
    request: IncomingMessage,
    token: string | undefined,
    access: Access,
    sessionId: string | undefined,
  ): Caller | Promise<Caller> {
    this.limits.address.take(this.addressOf(request));
    const caller = this.authenticator.authenticate(token);
    if (caller instanceof Promise) return caller.then((known) => this.check(known, access, sessionId));
    return this.check(caller, access, sessionId);
  }

  private check(caller: Caller, access: Access, sessionId: string | undefined): Caller {
    this.limits.tenant.take(caller.principal.tenant);
    if (access.scope !== undefined) requireScope(caller, access.scope);
    if (access.locked === "none") requireNoLock(caller);
    if (access.locked === "own" && sessionId !== undefined) requireSession(caller, sessionId);
    return caller;
  }

  /** Behind a proxy that is trusted, the last address it vouches for; else the socket's. */
  private addressOf(request: IncomingMessage): string {
    const forwarded = request.headers["x-forwarded-for"];
    if (this.trustProxy && typeof forwarded === "string") return forwarded.split(",").at(-1)?.trim() ?? "";
    return request.socket.remoteAddress ?? "";
  }
}

/** The one token of a request. Two of them could speak for two callers, so that is refused. */
export function tokenOf(header: string | undefined, inQuery: string | undefined): string | undefined {
  const token = bearerToken(header);
  if (token !== undefined && inQuery !== undefined) {
    throw new DaybookError("unauthorized", "Send one token: in the Authorization header or as access_token.");
  }
  return token ?? inQuery;
}

/** The token of an `Authorization: Bearer` header. @throws DaybookError unauthorized for another kind */
function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  if (token === undefined)
    throw new DaybookError("unauthorized", "The Authorization header must be: Bearer TOKEN.");
  return token;
}
