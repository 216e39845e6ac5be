import type { StoredOperation } from "@daybook/core";

/** What one event set, by key. */
export type EventValues = ReadonlyMap<string, readonly StoredOperation[]>;

/** What an operation takes beside its texts, roughly. */
const OPERATION_BYTES = 256;

/**
 * What events set that single keys were lately read from: an event may set thousands of keys, and reading all of it for
 * each of them would cost far more than the key. Events never change, so nothing here is ever wrong; the least recently
 * used go when they are too many.
 */
export class ValueCache {
  private readonly events = new Map<string, { readonly values: EventValues; readonly bytes: number }>();
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  get(log: number, seq: number): EventValues | undefined {
    const name = `${log} ${seq}`;
    const known = this.events.get(name);
    if (known === undefined) return undefined;
    // At the end of the map stands what was used last.
    this.events.delete(name);
    this.events.set(name, known);
    return known.values;
  }

  /** `eventBytes`: the event's text stays in memory as long as a value that was cut from it. */
  keep(log: number, seq: number, values: EventValues, eventBytes: number): void {
    const name = `${log} ${seq}`;
    if (this.events.has(name)) return;
    let bytes = eventBytes;
    for (const operations of values.values()) bytes += operations.length * OPERATION_BYTES;
    this.events.set(name, { values, bytes });
    this.bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.events) {
      if (this.bytes <= this.bytesMax) return;
      this.events.delete(oldest);
      this.bytes -= freed;
    }
  }
}
