import type { Caller } from "../service/caller.js";

/** Verified tokens kept, so that a signature is checked once and not with every request. */
const TOKENS_MAX = 10_000;
/** What all of them may take: a token may be 8 KiB long. */
const CHARACTERS_MAX = 16 * 1024 * 1024;

/** Verified tokens in bounded memory. The oldest go first, which only costs them a signature check. */
export class TokenCache {
  private callers = new Map<string, Caller>();
  private characters = 0;

  constructor(private readonly limits = { tokensMax: TOKENS_MAX, charactersMax: CHARACTERS_MAX }) {}

  get size(): number {
    return this.callers.size;
  }

  get(token: string): Caller | undefined {
    return this.callers.get(token);
  }

  add(token: string, caller: Caller): void {
    this.delete(token);
    this.callers.set(token, caller);
    this.characters += token.length;
    for (const oldest of this.callers.keys()) {
      if (this.callers.size <= this.limits.tokensMax && this.characters <= this.limits.charactersMax) return;
      this.delete(oldest);
    }
  }

  delete(token: string): void {
    if (this.callers.delete(token)) this.characters -= token.length;
  }

  clear(): void {
    this.callers = new Map();
    this.characters = 0;
  }
}
