import type { IncomingMessage } from "node:http";
import { type Authenticator, unauthorized } from "../auth/authenticator.js";
import { type Caller, requireNoLock, requireScope, requireSession } from "../service/caller.js";
import type { Query } from "../service/query.js";
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
  /** The token may also stand in the query, as `access_token`: an EventSource or a WebSocket can set no headers. */
  readonly tokenInQuery?: boolean;
}

/** What of a request says who makes it: HTTP/2 has it too. */
export type RequestHead = Pick<IncomingMessage, "headers" | "rawHeaders" | "socket">;

/** Decides who may make a call. */
export class Gate {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly limits: { readonly tenant: RateLimit; readonly address: RateLimit },
    private readonly trustProxy: boolean,
  ) {}

  /** Counts what a caller does on a socket that is open already. @throws DaybookError rate_limited */
  countPush(caller: Caller): void {
    this.limits.tenant.take(caller.principal.tenant);
  }

  /** Counts a call that everybody may make. @throws DaybookError rate_limited */
  countOpen(request: RequestHead): void {
    this.limits.address.take(this.addressOf(request));
  }

  /**
   * The one token of a request. Two of them could speak for two callers, so that is refused; and a token in a query
   * ends up in logs and histories, so it is taken only where there is no other way.
   * @throws DaybookError unauthorized
   */
  tokenOf(request: RequestHead, query: Query, { tokenInQuery = false }: Access): string | undefined {
    if (this.authenticator.isOpen) return undefined;
    const inHeader = bearerToken(request);
    if (!query.has("access_token")) return inHeader;
    if (inHeader !== undefined)
      throw unauthorized("Send one token: in the Authorization header or as access_token.");
    if (!tokenInQuery)
      throw unauthorized("access_token in the query is for tails only. Send Authorization: Bearer TOKEN.");
    return query.one("access_token", "unauthorized");
  }

  /**
   * The caller, if he may; at once when his token was seen before.
   * @throws DaybookError unauthorized, forbidden_scope, forbidden_session, rate_limited
   */
  admit(
    request: RequestHead,
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
  private addressOf(request: RequestHead): string {
    const forwarded = request.headers["x-forwarded-for"];
    if (this.trustProxy && typeof forwarded === "string") return forwarded.split(",").at(-1)?.trim() ?? "";
    return request.socket.remoteAddress ?? "";
  }
}

/** The token of an `Authorization: Bearer` header. @throws DaybookError unauthorized for another kind, or for two */
function bearerToken({ headers, rawHeaders }: RequestHead): string | undefined {
  const { authorization } = headers;
  if (authorization === undefined) return undefined;
  // Node keeps the first of several and says nothing.
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) count++;
  }
  if (count > 1) throw unauthorized("Send one Authorization header.");
  const token = /^Bearer +([^\s]+)$/i.exec(authorization)?.[1];
  if (token === undefined) throw unauthorized("The Authorization header must be: Bearer TOKEN.");
  return token;
}

const AUTHORIZATION = "authorization";
