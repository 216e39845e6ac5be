/** What is told that the server is going away. */
export interface Draining {
  /** Ends what never ends by itself: tails, long polls. */
  drain(): void;
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
    return () => this.members.delete(member);
  }

  get size(): number {
    return this.members.size;
  }

  drain(): void {
    this.controller.abort();
    for (const member of [...this.members]) member.drain();
  }
}
