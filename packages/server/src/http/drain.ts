/** What is told that the server is going away. */
export interface Draining {
  /** Ends what never ends by itself: tails, long polls. */
  drain(): void;
  /** Ends what did not end although it was asked to. */
  cut?(): void;
}

/** Everything that lives longer than a request registers here. */
export class DrainList {
  private readonly members = new Set<Draining>();
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();

  constructor() {
    this.signal = this.controller.signal;
  }

  get draining(): boolean {
    return this.signal.aborted;
  }

  add(member: Draining): () => void {
    this.members.add(member);
    // Who comes while the server is going away is told too, once it stands.
    if (this.draining) queueMicrotask(() => this.members.has(member) && member.drain());
    return () => this.members.delete(member);
  }

  get size(): number {
    return this.members.size;
  }

  drain(): void {
    this.controller.abort();
    for (const member of [...this.members]) member.drain();
  }

  cut(): void {
    for (const member of [...this.members]) member.cut?.();
  }
}
