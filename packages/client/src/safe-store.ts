import { DaybookError } from "./errors.js";
import type { Store } from "./store.js";

/**
 * A store whose failures are told and otherwise survived: a full or forbidden storage must not keep anybody from
 * writing, it only costs what would have outlived the page.
 */
export class SafeStore {
  constructor(
    private readonly store: Store,
    private readonly failed: (error: DaybookError) => void,
  ) {}

  async get(key: string): Promise<string | undefined> {
    return this.attempt(() => this.store.get(key), undefined);
  }

  async keys(prefix: string): Promise<readonly string[]> {
    return this.attempt(() => this.store.keys(prefix), []);
  }

  set(key: string, value: string): void {
    void this.attempt(() => this.store.set(key, value), undefined);
  }

  delete(key: string): void {
    void this.attempt(() => this.store.delete(key), undefined);
  }

  private async attempt<Value>(what: () => Promise<Value>, otherwise: Value): Promise<Value> {
    try {
      return await what();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.failed(new DaybookError("store_failed", `The store failed: ${why}`, { cause }));
      return otherwise;
    }
  }
}
