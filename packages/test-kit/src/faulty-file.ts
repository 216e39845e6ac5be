import type { LogFile } from "@daybook/engine-embedded";
import type { Random } from "./random.js";

/** What was done to a file since it was last synced: any part of it may have reached the disk, in any order. */
type Change =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly length: number };

/** A file's contents as the running process sees them, and as a power loss may leave them. */
export class FaultyContents {
  private synced: Buffer;
  private changes: Change[] = [];
  private syncedChanges = 0;

  constructor(private current: Buffer = Buffer.alloc(0)) {
    this.synced = current;
  }

  get bytes(): Buffer {
    return this.current;
  }

  get syncedBytes(): Buffer {
    return this.synced;
  }

  write(bytes: Uint8Array, offset: number): void {
    const change: Change = { kind: "write", offset, bytes: Buffer.from(bytes) };
    this.current = applied(this.current, change);
    this.changes.push(change);
  }

  truncate(length: number): void {
    const change: Change = { kind: "truncate", length };
    this.current = applied(this.current, change);
    this.changes.push(change);
  }

  /** Begins a sync: it covers what was written before it began. The function returned ends it. */
  beginSync(): () => void {
    const bytes = this.current;
    const covered = this.syncedChanges + this.changes.length;
    return () => {
      // Of two syncs at once the one that began later may end first.
      if (covered <= this.syncedChanges) return;
      this.synced = bytes;
      this.changes = this.changes.slice(covered - this.syncedChanges);
      this.syncedChanges = covered;
    };
  }

  flipBit(offset: number, bit: number): void {
    for (const bytes of new Set([this.current, this.synced])) {
      if (offset < bytes.length) bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
    }
  }

  /** What the disk holds after the power went: synced bytes, and of the others whatever chance left there. */
  afterPowerLoss(random: Random): FaultyContents {
    const kept = {
      none: (): Change[] => [],
      all: (): Change[] => this.changes,
      torn: (): Change[] => torn(this.changes, random),
      scattered: (): Change[] => scattered(this.changes, random),
    }[random.weighted({ none: 2, all: 1, torn: 3, scattered: 3 })]();
    let bytes: Buffer = this.synced;
    for (const change of kept) bytes = applied(bytes, change);
    // A file's length is kept apart from its bytes: it may be there before they are, which then read as zeros.
    if (bytes.length < this.current.length && random.chance(0.2)) {
      bytes = applied(bytes, { kind: "truncate", length: random.between(bytes.length, this.current.length) });
    }
    return new FaultyContents(Buffer.from(bytes));
  }
}

function applied(bytes: Buffer, change: Change): Buffer {
  const length =
    change.kind === "truncate" ? change.length : Math.max(bytes.length, change.offset + change.bytes.length);
  // Never in place: the synced bytes may be this very buffer.
  const next = Buffer.alloc(length);
  bytes.copy(next, 0, 0, Math.min(bytes.length, length));
  if (change.kind === "write") change.bytes.copy(next, change.offset);
  return next;
}

/** Everything up to some byte of some write, and nothing after it. */
function torn(changes: readonly Change[], random: Random): Change[] {
  if (changes.length === 0) return [];
  const last = random.upTo(changes.length - 1);
  const cut = changes[last] as Change;
  const before = changes.slice(0, last);
  if (cut.kind === "truncate") return before;
  return [...before, { ...cut, bytes: cut.bytes.subarray(0, random.upTo(cut.bytes.length)) }];
}

/** Pieces of any length, each there or not. */
function scattered(changes: readonly Change[], random: Random): Change[] {
  const pieces: Change[] = [];
  for (const change of changes) {
    if (change.kind === "truncate") {
      if (random.chance(0.5)) pieces.push(change);
      continue;
    }
    const pieceMax = random.pick([16, 64, 512, 4096]);
    for (let at = 0; at < change.bytes.length;) {
      const length = random.between(1, pieceMax);
      const bytes = change.bytes.subarray(at, at + length);
      if (random.chance(0.5)) pieces.push({ kind: "write", offset: change.offset + at, bytes });
      at += length;
    }
  }
  return pieces;
}

/** Which call on the disk this is: faults are chosen by it. */
export type DiskCall =
  "read" | "write" | "sync" | "truncate" | "create" | "open" | "remove" | "rename" | "syncFolder";

/** The disk that a file is on: it hears of each call before and after. */
export interface Disk {
  /** May throw, or say that only so many bytes get through. */
  before(call: DiskCall, name: string, length: number): Promise<number>;
  /** The call took effect. May throw all the same: then nobody hears of it. */
  after(call: DiskCall): void;
  closed(): void;
}

/** An open file. */
export class FaultyFile implements LogFile {
  private isOpen = true;

  constructor(
    private readonly name: string,
    private readonly contents: FaultyContents,
    private readonly disk: Disk,
  ) {}

  async read(into: Uint8Array, offset: number): Promise<number> {
    await this.before("read", into.length);
    const bytes = this.contents.bytes.subarray(offset, offset + into.length);
    into.set(bytes);
    return bytes.length;
  }

  async write(bytes: Uint8Array, offset: number): Promise<number> {
    // What counts is what the buffer holds now, as with a real disk.
    const given = Buffer.from(bytes);
    const length = await this.before("write", given.length);
    this.contents.write(given.subarray(0, length), offset);
    this.disk.after("write");
    return length;
  }

  async sync(): Promise<void> {
    const endSync = this.contents.beginSync();
    await this.before("sync", 0);
    endSync();
    this.disk.after("sync");
  }

  async truncate(length: number): Promise<void> {
    await this.before("truncate", length);
    this.contents.truncate(length);
    this.disk.after("truncate");
  }

  size(): Promise<number> {
    return Promise.resolve(this.contents.bytes.length);
  }

  close(): Promise<void> {
    if (this.isOpen) this.disk.closed();
    this.isOpen = false;
    return Promise.resolve();
  }

  private before(call: DiskCall, length: number): Promise<number> {
    if (!this.isOpen) return Promise.reject(new Error(`${this.name}: ${call} on a closed file`));
    return this.disk.before(call, this.name, length);
  }
}
