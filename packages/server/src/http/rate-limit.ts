import { DaybookError } from "@daybook/protocol";

/** Callers remembered at once; beyond it the longest idle are forgotten, which only refills their bucket. */
const BUCKETS_MAX = 10_000;

/** A token bucket per name: so many requests a second, and a second's worth at once. 0 means no limit. */
export class RateLimit {
  private readonly buckets = new Map<string, { tokens: number; at: number }>();

  constructor(
    private readonly perSecond: number,
    private readonly what: string,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /** @throws DaybookError rate_limited, with the seconds to wait */
  take(name: string): void {
    if (this.perSecond === 0) return;
    const now = this.clock();
    const bucket = this.buckets.get(name) ?? { tokens: this.perSecond, at: now };
    bucket.tokens = Math.min(this.perSecond, bucket.tokens + ((now - bucket.at) / 1000) * this.perSecond);
    bucket.at = now;
    // Moved to the end: the front is the longest idle.
    this.buckets.delete(name);
    this.buckets.set(name, bucket);
    if (this.buckets.size > BUCKETS_MAX) this.forgetOldest();
    if (bucket.tokens < 1) {
      throw new DaybookError(
        "rate_limited",
        `More than ${this.perSecond} requests a second from this ${this.what}. Slow down.`,
      );
    }
    bucket.tokens--;
  }

  private forgetOldest(): void {
    const [oldest] = this.buckets.keys();
    if (oldest !== undefined) this.buckets.delete(oldest);
  }
}
