/**
 * Where a client keeps what should outlive it: cursors, and appends that are not acknowledged. Keys begin with
 * `daybook/`. Values are text. Calls made one after the other take effect in that order.
 */
export interface Store {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** Keys that begin so, in any order. */
  keys(prefix: string): Promise<readonly string[]>;
}

/**
 * Keeps things for as long as the process lives. One store may be given to several clients.
 *
 * @example
 * const daybook = new Daybook({ baseUrl: "http://127.0.0.1:4000", store: memoryStore() });
 */
export function memoryStore(): Store {
  const values = new Map<string, string>();
  return {
    get: (key) => Promise.resolve(values.get(key)),
    set: (key, value) => Promise.resolve(void values.set(key, value)),
    delete: (key) => Promise.resolve(void values.delete(key)),
    keys: (prefix) => Promise.resolve([...values.keys()].filter((key) => key.startsWith(prefix))),
  };
}
