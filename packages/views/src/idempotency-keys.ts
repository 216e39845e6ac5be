import { createHash } from "node:crypto";
import { LIMITS } from "@daybook/protocol";

/**
 * The idempotency keys of a conversation's last messages, and what each became. They stand in a ring, so that what is
 * too old goes without being looked for:
 *
 *     slot  n mod 1,024 → the digest of the n-th key
 *     digest            → n, and the seq of its message
 */
const SLOTS = LIMITS.idempotencyKeysMax;

export interface RememberedKey {
  readonly digest: string;
  /** Which one it is, from 1. */
  readonly ordinal: number;
  readonly seq: number;
}

export interface KeyRecords {
  rememberedKey(log: number, digest: string): RememberedKey | undefined;
}

/** How a key stands in the views: keys may be longer than what LMDB takes, and hold what it does not. */
export function digestOfKey(key: string): string {
  return createHash("sha256").update(key).digest("base64url").slice(0, 22);
}

export const slotOf = (ordinal: number): number => ordinal % SLOTS;

/** The keys of one log: what the views lack is in memory. */
export class IdempotencyKeys {
  private readonly known = new Map<string, RememberedKey>();
  private fresh: RememberedKey[] = [];

  constructor(
    private readonly log: number,
    private readonly records: KeyRecords,
    /** How many keys there were ever. */
    public count = 0,
  ) {}

  add(key: string, seq: number): void {
    const remembered = { digest: digestOfKey(key), ordinal: ++this.count, seq };
    this.known.set(remembered.digest, remembered);
    this.fresh.push(remembered);
  }

  /** The seq of the message that came with this key, if it is one of the last. */
  seqOf(key: string): number | undefined {
    const digest = digestOfKey(key);
    const found = this.known.get(digest) ?? this.records.rememberedKey(this.log, digest);
    return found !== undefined && this.isRemembered(found) ? found.seq : undefined;
  }

  /** Those that no flush has taken yet. What is forgotten again already is not written at all. */
  take(): readonly RememberedKey[] {
    const taken: RememberedKey[] = [];
    for (const key of this.fresh) {
      if (this.isRemembered(key)) taken.push(key);
      else this.letGo(key);
    }
    this.fresh = [];
    return taken;
  }

  /** The views have these now. */
  release(taken: readonly RememberedKey[]): void {
    for (const key of taken) this.letGo(key);
  }

  private letGo(key: RememberedKey): void {
    // Used again since, long after: that one is not in the views yet.
    if (this.known.get(key.digest) === key) this.known.delete(key.digest);
  }

  private isRemembered({ ordinal }: RememberedKey): boolean {
    return ordinal > this.count - SLOTS;
  }
}
