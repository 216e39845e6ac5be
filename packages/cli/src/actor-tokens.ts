import { ServerRefusal } from "./failures.js";
import type { Clock } from "./io.js";
import type { Patience, ServerClient } from "./server-client.js";

/** A token is renewed when this little of it is left: a request may take a while to arrive. */
const RENEW_SECONDS = 30;
/** Long enough that a long run renews seldom; short enough that a stray token is soon worth nothing. */
const TTL_SECONDS = 3_600;

/** What an API key says about itself. It is read, not verified: that is for the server. */
export interface ApiKeyClaims {
  /** The origin of its `iss`: where clients of this protocol look for the token endpoint. */
  readonly origin: string | undefined;
}

const SERVICES = new Set(["service", "svc", "org"]);

/** The claims of a token that is a service's, not tied to a session; undefined for any other token. */
export function apiKeyClaims(token: string | undefined): ApiKeyClaims | undefined {
  const claims = token === undefined ? undefined : claimsOf(token);
  const { sub, iss, session_id: session } = claims ?? {};
  if (typeof sub !== "string" || !SERVICES.has(sub.split(":", 1)[0] ?? "") || session !== undefined)
    return undefined;
  return {
    origin:
      typeof iss === "string" && /^https?:/i.test(iss) && URL.canParse(iss) ? new URL(iss).origin : undefined,
  };
}

function claimsOf(token: string): Record<string, unknown> | undefined {
  try {
    const text = Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8");
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not a JWT: some other server's idea of a token, which is passed on as it is.
    return undefined;
  }
}

/**
 * Who writes. A service's key speaks for the service; to write as an agent or a user it is exchanged for a session
 * token of theirs, which is renewed before it ends. Any other token is used as it is.
 */
export class ActorTokens {
  private current: { readonly token: string; readonly endsAtMs: number } | undefined;
  /** The base URL has no token endpoint. */
  private isElsewhere = false;

  constructor(
    private readonly client: ServerClient,
    private readonly clock: Clock,
    private readonly wish: { readonly session: string; readonly actor: string | undefined },
  ) {}

  /** The token to send; undefined: the client's own. @throws ServerRefusal, ServerUnreachable, Interrupted */
  async token(patience?: Patience): Promise<string | undefined> {
    const key = apiKeyClaims(this.client.connection.token);
    const [type = "", ...id] = (this.wish.actor ?? "").split(":");
    if (key === undefined || (type !== "agent" && type !== "user")) return undefined;
    const left = (this.current?.endsAtMs ?? 0) - this.clock.now();
    if (this.current !== undefined && left > RENEW_SECONDS * 1000) return this.current.token;
    const body = JSON.stringify({
      session_id: this.wish.session,
      principal: { type, id: id.join(":") },
      scopes: ["session:append"],
      ttl_seconds: TTL_SECONDS,
    });
    const answer = await this.exchange(key, body, patience);
    const { token, expires_in: seconds } = JSON.parse(answer) as { token: string; expires_in: number };
    this.current = { token, endsAtMs: this.clock.now() + seconds * 1000 };
    return token;
  }

  /** The token was refused: the next one is a new one. */
  forget(): boolean {
    const had = this.current !== undefined;
    this.current = undefined;
    return had;
  }

  /**
   * At the base URL, where the session is too. What answers there may have no token endpoint: the key itself names who
   * has one. That may be a name which cannot be reached from here, so it is asked second, and only then gets the key.
   */
  private async exchange(key: ApiKeyClaims, body: string, patience: Patience | undefined): Promise<string> {
    const call = { method: "POST", path: "/api/v1/session-tokens", body, repeatable: true } as const;
    const { origin } = key;
    if (this.isElsewhere && origin !== undefined) return this.client.call({ ...call, origin }, patience);
    try {
      return await this.client.call(call, patience);
    } catch (error) {
      const hasNone = error instanceof ServerRefusal && (error.status === 404 || error.status === 405);
      if (!hasNone || origin === undefined || origin === new URL(this.client.connection.baseUrl).origin)
        throw error;
      this.isElsewhere = true;
      return this.client.call({ ...call, origin }, patience);
    }
  }
}
