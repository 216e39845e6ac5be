import type { SimClock } from "./sim-clock.test.support.js";
import type { SessionEvent } from "./wire.js";

/** What an append sends. */
interface Incoming {
  readonly type: string;
  readonly payload: Record<string, unknown>;
  readonly producer_id: string;
  readonly producer_seq: number;
  readonly actor?: string;
}

export interface SimAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One topic somebody follows. */
interface Follower {
  cursor: number;
  readonly push: (event: string, payload: unknown) => void;
  stopExpiry: () => void;
}

/** How often the client met what it is to survive. */
export interface Met {
  /** Events that were there already. */
  duplicates: number;
  /** Requests and joins with a token that had ended. */
  expired: number;
  /** Topics that ended with their token in mid-stream. */
  expiredInStream: number;
  /** Tokens that were put in place of another. */
  renewed: number;
  joins: number;
}

/** One session as docs/PROTOCOL.md has it, in memory: as much of it as the client meets. */
export class SimServer {
  readonly log: SessionEvent[] = [];
  readonly met: Met = { duplicates: 0, expired: 0, expiredInStream: 0, renewed: 0, joins: 0 };
  private readonly pairs = new Map<string, { readonly seq: number; readonly text: string }>();
  private readonly lastOf = new Map<string, number>();
  private readonly followers = new Set<Follower>();

  constructor(private readonly clock: SimClock) {}

  /** A token that ends, as the client reads it. */
  mint(actor: string, lifetimeMs: number): string {
    const nowMs = this.clock.nowMs;
    const claims = {
      tenant_id: "acme",
      session_id: "s",
      sub: actor,
      iat: nowMs / 1_000,
      exp: (nowMs + lifetimeMs) / 1_000,
    };
    return `h.${btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_")}.s`;
  }

  expiryOf(token: string): number {
    const claims = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return (JSON.parse(claims) as { exp: number }).exp * 1_000;
  }

  isExpired(token: string): boolean {
    const isExpired = this.clock.nowMs >= this.expiryOf(token);
    if (isExpired) this.met.expired++;
    return isExpired;
  }

  answer(method: string, url: string, token: string, body: string | undefined): SimAnswer {
    if (this.isExpired(token)) return refusal(401, "unauthorized");
    const { pathname, searchParams } = new URL(url);
    if (method === "POST" && pathname.endsWith("/append"))
      return this.append(JSON.parse(body ?? "") as { events: Incoming[] });
    if (pathname.endsWith("/events")) return this.page(Number(searchParams.get("cursor") ?? 0));
    return refusal(404, "not_found");
  }

  follow(
    { cursor, token }: { readonly cursor: number; readonly token: string },
    push: Follower["push"],
  ): Follower | "token_expired" {
    if (this.isExpired(token)) return "token_expired";
    this.met.joins++;
    const follower: Follower = { cursor, push, stopExpiry: () => undefined };
    this.renew(follower, token);
    this.followers.add(follower);
    return follower;
  }

  /** Sends what there is after its cursor. */
  feed(follower: Follower): void {
    if (!this.followers.has(follower)) return;
    const events = this.log.slice(follower.cursor, follower.cursor + 50);
    if (events.length === 0) return;
    follower.cursor += events.length;
    follower.push("events", { events });
    this.feed(follower);
  }

  replaceToken(follower: Follower, token: string): void {
    this.met.renewed++;
    this.renew(follower, token);
  }

  private renew(follower: Follower, token: string): void {
    follower.stopExpiry();
    follower.stopExpiry = this.clock.after(this.expiryOf(token) - this.clock.nowMs, () => {
      this.met.expiredInStream++;
      this.forget(follower);
      follower.push("token_expired", { reason: "token_expired" });
      follower.push("phx_close", {});
    });
  }

  forget(follower: Follower): void {
    follower.stopExpiry();
    this.followers.delete(follower);
  }

  private append({ events }: { readonly events: readonly Incoming[] }): SimAnswer {
    const results: { seq: number; deduped: boolean }[] = [];
    const fresh: Incoming[] = [];
    const last = new Map<string, number>();
    for (const event of events) {
      const { producer_id: producer, producer_seq: number } = event;
      const known = this.pairs.get(`${producer} ${number}`);
      if (known !== undefined) {
        if (known.text !== JSON.stringify(event)) return refusal(409, "producer_replay_conflict");
        this.met.duplicates++;
        results.push({ seq: known.seq, deduped: true });
        continue;
      }
      const before = last.get(producer) ?? this.lastOf.get(producer);
      if (before !== undefined && number !== before + 1) return refusal(409, "producer_seq_conflict");
      last.set(producer, number);
      fresh.push(event);
      results.push({ seq: this.log.length + fresh.length, deduped: false });
    }
    for (const event of fresh) this.commit(event);
    for (const follower of this.followers) this.feed(follower);
    return { status: 201, body: { results, last_seq: this.log.length } };
  }

  private commit(event: Incoming): void {
    const seq = this.log.length + 1;
    this.pairs.set(`${event.producer_id} ${event.producer_seq}`, { seq, text: JSON.stringify(event) });
    this.lastOf.set(event.producer_id, event.producer_seq);
    const stamps = { seq, cursor: seq, tenant_id: "acme", inserted_at: "", idempotency_key: null };
    this.log.push({ metadata: {}, refs: {}, actor: "", ...event, ...stamps });
  }

  private page(cursor: number): SimAnswer {
    if (cursor > this.log.length) return refusal(400, "invalid_cursor", { last_seq: this.log.length });
    const events = this.log.slice(cursor, cursor + 20);
    return { status: 200, body: { events, last_seq: this.log.length } };
  }
}

export function refusal(status: number, error: string, more: object = {}): SimAnswer {
  return { status, body: { error, message: error, ...more } };
}
