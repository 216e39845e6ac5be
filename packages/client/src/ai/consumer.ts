import { asDaybookError, DaybookError } from "../errors.js";
import type { Session } from "../session.js";
import type { SessionEvent, StateChange } from "../wire.js";
import { chunkOf, isEnd } from "./chat-envelope.js";
import { inputOf } from "./record-stream.js";

const CLAIMED = "consumer.claimed";
const ADVANCED = "consumer.advanced";

/** How far the consumer of a name has come in a session. */
export class Consumer {
  /** The last user message that was handled. */
  seq = 0;
  private version = 0;
  private claimSeq: number | undefined;
  /** Under which number the worker writes, or the one before it did: known once an answer of his has ended. */
  private producerId: string | undefined;

  constructor(
    private readonly session: Session,
    private readonly name: string,
  ) {}

  private get key(): string {
    return `consumer/${this.name}`;
  }

  async load(otherwise: number): Promise<void> {
    const entry = await this.session.state.get(this.key);
    const { seq, producer_id: producerId } = (entry?.value ?? {}) as {
      readonly seq?: unknown;
      readonly producer_id?: unknown;
    };
    this.seq = typeof seq === "number" ? seq : otherwise;
    this.producerId = typeof producerId === "string" ? producerId : undefined;
    this.version = entry?.version ?? 0;
  }

  /** Takes the name over, and closes what whoever had it has left open. Once; what was handled meanwhile counts. */
  async claim(): Promise<void> {
    while (this.claimSeq === undefined) {
      const payload = { kind: CLAIMED, consumer: this.name };
      try {
        const { seq } = await this.session.append({ type: CLAIMED, payload, state: this.moveTo(this.seq) });
        const isFirst = this.version++ === 0;
        this.claimSeq = seq;
        await this.closeLeftOpen(seq, isFirst);
      } catch (error) {
        if (asDaybookError(error).code !== "state_conflict") throw error;
        await this.load(this.seq);
      }
    }
  }

  /**
   * Ends the messages that a worker before has left open, under that worker's next number: so they end for readers too,
   * and should he not be dead after all, his own next event is refused.
   */
  private async closeLeftOpen(claimSeq: number, isFirst: boolean): Promise<void> {
    const events = await this.session.range(isFirst ? claimSeq : this.seq + 1, claimSeq);
    const own = events.at(-1)?.producer_id;
    // Others may write as the same actor, under another consumer's name or none: theirs are not touched.
    const before = new Set([this.producerId]);
    const writers = new Map<string, { producerSeq: number; isOpen: boolean }>();
    for (const event of events) {
      if (event.actor !== this.session.actor || event.producer_id === own) continue;
      if (this.isClaim(event)) before.add(event.producer_id);
      const chunk = chunkOf(event);
      const isOpen = chunk === undefined ? writers.get(event.producer_id)?.isOpen === true : !isEnd(chunk);
      writers.set(event.producer_id, { producerSeq: event.producer_seq, isOpen });
    }
    for (const [producerId, { producerSeq, isOpen }] of writers)
      if (isOpen && before.has(producerId)) await this.closeInNameOf(producerId, producerSeq + 1);
    this.producerId = own;
  }

  private async closeInNameOf(producerId: string, producerSeq: number): Promise<void> {
    const numbers = { producer_id: producerId, producer_seq: producerSeq, actor: this.session.actor };
    const body = JSON.stringify({ ...inputOf({ type: "abort" }), ...numbers });
    try {
      await this.session.call("POST", "/append", { body });
    } catch (error) {
      // He went on writing. That worker sees the claim, and ends his message himself.
      if (!asDaybookError(error).code.startsWith("producer_")) throw error;
    }
  }

  /** Counts a message as handled that nothing was recorded for. */
  async advance(seq: number): Promise<void> {
    await this.session.append({
      type: ADVANCED,
      payload: { kind: ADVANCED, consumer: this.name, seq },
      state: this.moveTo(seq),
    });
    this.moved(seq);
  }

  /** The state change that says so; refused if another worker has taken over. */
  moveTo(seq: number): StateChange {
    const value = { seq, ...(this.producerId !== undefined && { producer_id: this.producerId }) };
    return { set: { [this.key]: value }, if: { [this.key]: this.version } };
  }

  moved(seq: number): void {
    this.seq = seq;
    this.version++;
  }

  private isClaim({ type, payload }: SessionEvent): boolean {
    return type === CLAIMED && payload.consumer === this.name;
  }

  /** Why this worker has to end, if the event says that another one has begun. */
  takenOverBy(event: SessionEvent): DaybookError | undefined {
    if (!this.isClaim(event) || this.claimSeq === undefined || event.seq <= this.claimSeq) return undefined;
    return this.lost(`seq ${event.seq}`);
  }

  /** The end of this worker. */
  lost(how: string, cause?: unknown): DaybookError {
    return new DaybookError("state_conflict", `Another worker has taken over as ${this.name} (${how}).`, {
      cause,
    });
  }
}
