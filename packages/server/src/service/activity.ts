import { LogId } from "@daybook/core";

/** What is told of a session besides its facts: that it is made ready and in use, or put away again. */
export type ActivityKind = "hydrating" | "activated" | "freezing" | "frozen";

export type OnActivity = (id: LogId, kinds: readonly ActivityKind[]) => void;

/** How many ticks without use make a session idle: a session is put away up to one tick late. */
export const IDLE_TICKS = 8;
/** As many as an engine keeps at hand. */
const SESSIONS_MAX = 50_000;

/**
 * Which sessions are in use. It is a record for those who follow the lifecycle and for nobody else: whether a session
 * stands in it changes nothing of what can be done with it. Nothing of it is stored; after a start none is in use.
 *
 * Memory is bounded: the tenants that use any have an equal share each, so that none pushes out another's.
 */
export class SessionActivity {
  private now = 0;
  /** Of each tenant the tick of each session's last use, the least recently used first. */
  private readonly tenants = new Map<string, Map<string, number>>();
  private readonly followers = new Map<string, Set<OnActivity>>();

  /** @param isThere false for a session that never was or was deleted */
  constructor(
    private readonly isThere: (id: LogId) => boolean,
    private readonly sessionsMax = SESSIONS_MAX,
  ) {}

  /** It is read, followed or appended to. On the way of every append: mostly two look-ups and no more. */
  used(id: LogId): void {
    const sessions = this.tenants.get(id.tenant);
    const lastUse = sessions?.get(id.id);
    if (lastUse === this.now) return;
    if (lastUse !== undefined) {
      sessions?.delete(id.id);
      sessions?.set(id.id, this.now);
    } else if (this.isThere(id)) {
      this.add(id);
      this.tell(id, ["hydrating", "activated"]);
    }
  }

  /** It was created: in use from now on, which is told together with its creation. */
  began(id: LogId): void {
    this.add(id);
  }

  /** Some time has passed: whatever was not used for `IDLE_TICKS` of these is put away. */
  tick(): void {
    this.now++;
    for (const [tenant, sessions] of this.tenants) {
      for (const [id, lastUse] of sessions) {
        if (this.now - lastUse <= IDLE_TICKS) break;
        this.putAway(sessions, new LogId(tenant, id));
      }
      if (sessions.size === 0) this.tenants.delete(tenant);
    }
  }

  /** Calls back with what changes for a tenant's sessions from now on. */
  watch(tenant: string, tell: OnActivity): () => void {
    const followers = this.followers.get(tenant) ?? new Set();
    this.followers.set(tenant, followers.add(tell));
    return () => {
      followers.delete(tell);
      if (followers.size === 0 && this.followers.get(tenant) === followers) this.followers.delete(tenant);
    };
  }

  private add(id: LogId): void {
    const sessions = this.tenants.get(id.tenant) ?? new Map<string, number>();
    this.tenants.set(id.tenant, sessions.set(id.id, this.now));
    const share = Math.max(1, Math.floor(this.sessionsMax / this.tenants.size));
    // Two for one: a share that became smaller is reached step by step.
    let over = Math.min(2, sessions.size - share);
    for (const oldest of sessions.keys()) {
      if (over-- <= 0) return;
      this.putAway(sessions, new LogId(id.tenant, oldest));
    }
  }

  private putAway(sessions: Map<string, number>, id: LogId): void {
    sessions.delete(id.id);
    // A deleted one is gone, not put away.
    if (this.isThere(id)) this.tell(id, ["freezing", "frozen"]);
  }

  private tell(id: LogId, kinds: readonly ActivityKind[]): void {
    for (const tell of this.followers.get(id.tenant) ?? []) tell(id, kinds);
  }
}
