import type { SafeStore } from "./safe-store.js";

/** Keeps how far a session's listeners have come: each cursor at most once a turn, and the last one surely. */
export class CursorKeeper {
  private next: number | undefined;

  constructor(
    private readonly store: SafeStore,
    private readonly key: string,
  ) {}

  async load(): Promise<number | undefined> {
    const text = await this.store.get(this.key);
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  save(cursor: number): void {
    const isPlanned = this.next !== undefined;
    this.next = cursor;
    if (!isPlanned) queueMicrotask(() => this.flush());
  }

  private flush(): void {
    void this.store.set(this.key, String(this.next));
    this.next = undefined;
  }
}
