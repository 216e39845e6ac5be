import type { Clock } from "./environment.js";
import { DaybookError } from "./errors.js";
import type { Store } from "./store.js";

/** Browsers have been seen whose databases never answer. */
const ANSWER_MS = 5_000;

/**
 * A store whose failures are told and otherwise survived: a full, forbidden or silent storage must not keep anybody from
 * writing, it only costs what would have outlived the page.
 */
export class SafeStore {
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly failed: (error: DaybookError) => void,
  ) {}

  get(key: string): Promise<string | undefined> {
    return this.attempt(() => this.store.get(key), undefined);
  }

  keys(prefix: string): Promise<readonly string[]> {
    return this.attempt(() => this.store.keys(prefix), []);
  }

  /** @returns whether it is kept */
  set(key: string, value: string): Promise<boolean> {
    return this.attempt(() => this.store.set(key, value).then(() => true), false);
  }

  delete(key: string): void {
    void this.attempt(() => this.store.delete(key), undefined);
  }

  private async attempt<Value>(what: () => Promise<Value>, otherwise: Value): Promise<Value> {
    let stop = (): void => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      stop = this.clock.after(ANSWER_MS, () => reject(new Error("it does not answer.")));
    });
    try {
      return await Promise.race([what(), late]);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.failed(new DaybookError("store_failed", `The store failed: ${why}`, { cause }));
      return otherwise;
    } finally {
      stop();
    }
  }
}
