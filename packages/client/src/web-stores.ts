import type { Store } from "./store.js";

/** As much of `localStorage` as is used. */
export interface StorageLike {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/**
 * Keeps things in the browser's `localStorage`: a few megabytes at most, and written before the next line runs.
 *
 * @example
 * const daybook = new Daybook({ baseUrl: "http://127.0.0.1:4000", store: localStorageStore() });
 */
export function localStorageStore(storage?: StorageLike): Store {
  // Looked up when it is used: where storage is forbidden, even naming it throws.
  const of = (): StorageLike => storage ?? globalThis.localStorage;
  // At once: what is kept has to be there should the page end with the next line.
  const at = <Value>(what: (storage: StorageLike) => Value): Promise<Value> =>
    new Promise((resolve) => resolve(what(of())));
  return {
    get: (key) => at((storage) => storage.getItem(key) ?? undefined),
    set: (key, value) => at((storage) => storage.setItem(key, value)),
    delete: (key) => at((storage) => storage.removeItem(key)),
    keys: (prefix) =>
      at((storage) =>
        Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "").filter((key) =>
          key.startsWith(prefix),
        ),
      ),
  };
}

/**
 * Keeps things in the browser's IndexedDB: as much as the disk allows.
 *
 * @param name of the database
 * @example
 * const daybook = new Daybook({ baseUrl: "http://127.0.0.1:4000", store: indexedDbStore() });
 */
export function indexedDbStore(name = "daybook"): Store {
  let opened: Promise<IDBDatabase> | undefined;
  const database = (): Promise<IDBDatabase> => {
    opened ??= open(name).catch((error: unknown) => {
      // Tried anew the next time.
      opened = undefined;
      throw error;
    });
    return opened;
  };
  const run = async <Value>(
    mode: IDBTransactionMode,
    what: (store: IDBObjectStore) => IDBRequest<Value>,
  ): Promise<Value> => {
    const transaction = (await database()).transaction(OBJECTS, mode);
    const request = what(transaction.objectStore(OBJECTS));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB gave up."));
    });
  };
  return {
    get: async (key) => (await run("readonly", (store) => store.get(key))) as string | undefined,
    set: async (key, value) => {
      await run("readwrite", (store) => store.put(value, key));
    },
    delete: async (key) => run("readwrite", (store) => store.delete(key)),
    keys: async (prefix) =>
      (await run("readonly", (store) =>
        store.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)),
      )) as string[],
  };
}

const OBJECTS = "values";

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(OBJECTS);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB could not be opened."));
    request.onsuccess = () => {
      // Another page deletes or upgrades it: do not stand in the way.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
  });
}
