import type { LogFile, LogFiles } from "@daybook/engine-embedded";
import { type DiskCall, FaultyContents, FaultyFile } from "./faulty-file.js";
import type { Random } from "./random.js";

/** Says what happens to one call: an error to throw, or how many bytes of a write get through. Undefined: all is well. */
export type Fault = (call: { kind: DiskCall; name: string; length: number }) => Error | number | undefined;

type FolderChange =
  | { readonly kind: "create"; readonly name: string; readonly contents: FaultyContents }
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string };

type Folder = Map<string, FaultyContents>;

/** The calls that change something on the disk; a power loss is set to come at one of them. */
const CHANGING: ReadonlySet<DiskCall> = new Set<DiskCall>([
  "write",
  "sync",
  "truncate",
  "create",
  "remove",
  "rename",
  "syncFolder",
]);

/**
 * Files in memory that know what a power loss would leave of them: bytes count as stored once their file was synced,
 * and names once the folder was.
 */
export class FaultyFiles implements LogFiles {
  /** Calls so far, by kind. */
  readonly calls = new Map<DiskCall, number>();
  /** Files that are open now. */
  openFiles = 0;
  /** What `freeBytes` says. */
  free = Number.POSITIVE_INFINITY;
  /** Consulted at every call. */
  fault: Fault | undefined;
  /** While it is pending, calls that it chose wait. */
  gate: ((kind: DiskCall, name: string) => Promise<void> | undefined) | undefined;
  private folder: Folder = new Map();
  private syncedFolder: Folder = new Map();
  private changes: FolderChange[] = [];
  private powerLoss: { calls: number; readonly random: Random } | undefined;
  private left: FaultyFiles | undefined;

  /** The power goes at the n-th changing call from now, before, after or in the middle of it. */
  losePowerAt(calls: number, random: Random): void {
    this.powerLoss = { calls, random };
  }

  /** Takes `losePowerAt` back. */
  keepPower(): void {
    this.powerLoss = undefined;
  }

  /** What the disk held when the power went; undefined as long as it is on. */
  get afterPowerLoss(): FaultyFiles | undefined {
    return this.left;
  }

  /** The power goes now: these files are dead, and what they left is returned. */
  crash(random: Random): FaultyFiles {
    this.left ??= this.image(random);
    return this.left;
  }

  /** The power goes now, and nothing that was not synced is left. */
  crashLosingAll(): FaultyFiles {
    const left = new FaultyFiles();
    for (const [name, contents] of this.syncedFolder) left.put(name, contents.syncedBytes);
    this.left ??= left;
    return this.left;
  }

  /** The process is killed and the machine goes on: all is there, and what was not synced still is not. */
  kill(): FaultyFiles {
    const left = new FaultyFiles();
    left.folder = this.folder;
    left.syncedFolder = this.syncedFolder;
    left.changes = this.changes;
    this.left ??= left;
    return this.left;
  }

  /** A whole, synced copy. */
  copy(): FaultyFiles {
    const copy = new FaultyFiles();
    for (const [name, contents] of this.folder) copy.put(name, contents.bytes);
    return copy;
  }

  /** A file's bytes now. */
  bytes(name: string): Buffer {
    const contents = this.folder.get(name);
    if (contents === undefined) throw new Error(`${name} does not exist`);
    return contents.bytes;
  }

  get names(): string[] {
    return [...this.folder.keys()].sort();
  }

  /** Makes a file hold these bytes, as if they had always been there. */
  put(name: string, bytes: Uint8Array): void {
    const contents = new FaultyContents(Buffer.from(bytes));
    this.folder.set(name, contents);
    this.syncedFolder.set(name, contents);
  }

  /** Loses a file, as if it had never been there. */
  lose(name: string): void {
    this.folder.delete(name);
    this.syncedFolder.delete(name);
  }

  flipBit(name: string, offset: number, bit = 0): void {
    this.folder.get(name)?.flipBit(offset, bit);
  }

  list(): Promise<string[]> {
    return Promise.resolve([...this.folder.keys()]);
  }

  async open(name: string, mode: "create" | "write" | "read"): Promise<LogFile> {
    await this.before(mode === "create" ? "create" : "open", name, 0);
    const known = this.folder.get(name);
    if (mode === "create" && known !== undefined) throw new Error(`${name} exists`);
    if (mode !== "create" && known === undefined) throw new Error(`${name} does not exist`);
    const contents = known ?? new FaultyContents();
    if (known === undefined) this.change({ kind: "create", name, contents });
    this.openFiles++;
    const file = new FaultyFile(name, contents, this);
    if (mode === "create") this.after("create");
    return file;
  }

  async remove(name: string): Promise<void> {
    await this.before("remove", name, 0);
    if (!this.folder.has(name)) throw new Error(`${name} does not exist`);
    this.change({ kind: "remove", name });
    this.after("remove");
  }

  async rename(from: string, to: string): Promise<void> {
    await this.before("rename", from, 0);
    if (!this.folder.has(from)) throw new Error(`${from} does not exist`);
    this.change({ kind: "rename", from, to });
    this.after("rename");
  }

  async syncFolder(): Promise<void> {
    await this.before("syncFolder", "", 0);
    this.syncedFolder = new Map(this.folder);
    this.changes = [];
    this.after("syncFolder");
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.free);
  }

  private change(change: FolderChange): void {
    applyTo(this.folder, change);
    this.changes.push(change);
  }

  async before(kind: DiskCall, name: string, length: number): Promise<number> {
    this.assertPower();
    this.calls.set(kind, (this.calls.get(kind) ?? 0) + 1);
    if (this.powerLoss !== undefined && CHANGING.has(kind)) {
      this.powerLoss.calls--;
      if (this.powerLoss.calls === 0 && this.powerLoss.random.chance(0.5)) this.loseIt();
    }
    // A turn of the event loop stands for the disk's latency: without it no batch would ever fill.
    if (kind === "sync") await new Promise((resolve) => setImmediate(resolve));
    await this.gate?.(kind, name);
    this.assertPower();
    const fault = this.fault?.({ kind, name, length });
    if (fault instanceof Error) throw fault;
    return fault ?? length;
  }

  after(kind: DiskCall): void {
    if (this.powerLoss !== undefined && CHANGING.has(kind) && this.powerLoss.calls <= 0) this.loseIt();
  }

  closed(): void {
    this.openFiles--;
  }

  private loseIt(): void {
    this.left ??= this.lossImage();
    this.assertPower();
  }

  private lossImage(): FaultyFiles {
    if (this.powerLoss === undefined) throw new Error("no power loss was set");
    return this.image(this.powerLoss.random);
  }

  private assertPower(): void {
    if (this.left !== undefined) throw new Error("the power is gone");
  }

  private image(random: Random): FaultyFiles {
    const folder: Folder = new Map(this.syncedFolder);
    for (const change of this.keptChanges(random)) applyTo(folder, change);
    const left = new FaultyFiles();
    for (const [name, contents] of folder) left.put(name, contents.afterPowerLoss(random).bytes);
    return left;
  }

  private keptChanges(random: Random): FolderChange[] {
    if (random.chance(0.5)) return this.changes.slice(0, random.upTo(this.changes.length));
    return this.changes.filter(() => random.chance(0.5));
  }
}

function applyTo(folder: Folder, change: FolderChange): void {
  switch (change.kind) {
    case "create":
      folder.set(change.name, change.contents);
      return;
    case "remove":
      folder.delete(change.name);
      return;
    case "rename": {
      const contents = folder.get(change.from);
      if (contents === undefined) return;
      folder.delete(change.from);
      folder.set(change.to, contents);
    }
  }
}
