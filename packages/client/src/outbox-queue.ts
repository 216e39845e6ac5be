import type { JsonObject, Refs, StateChange } from "./wire.js";

/** An event as it is sent, but for its number. */
export interface OutgoingEvent {
  readonly type: string;
  readonly payload: JsonObject;
  readonly actor?: string;
  readonly source?: string;
  readonly metadata?: JsonObject;
  readonly refs?: Refs;
  readonly idempotency_key?: string;
  readonly state?: StateChange;
}

/** The events of one append: committed together or not at all. */
export interface OutgoingGroup {
  /** Names the append. */
  readonly key: string;
  readonly producerId: string;
  /** The number of the first; the others follow. */
  readonly producerSeq: number;
  readonly events: readonly OutgoingEvent[];
  readonly expectedSeq?: number;
  /** Each as JSON, as it was when it was given: what is done to an event later is not meant. */
  readonly bodies: readonly string[];
  /** Their JSON with their numbers, as one list's inside. */
  readonly text: string;
}

export interface BatchLimits {
  readonly eventsMax: number;
  /** A batch may be larger only if one group is. */
  readonly charactersMax: number;
}

/** Half of what the server takes in one append, so that limits set lower there do not bite at once. */
export const BATCH_LIMITS: BatchLimits = { eventsMax: 500, charactersMax: 2 * 1024 * 1024 };

/**
 * What waits to be sent, in order, each event with its producer's number: the number is given once, so that a retry is
 * the same event. The front of the queue is the batch in flight, which is not changed until it is answered.
 */
export class OutboxQueue {
  private groups: OutgoingGroup[] = [];
  private lastProducerSeq = 0;
  private inFlight = 0;
  /** How many groups may go at once; 1 after a refusal, to find out which one it was for. */
  private groupsMax = Infinity;

  constructor(
    private producerId: string,
    private readonly limits: BatchLimits = BATCH_LIMITS,
  ) {}

  get all(): readonly OutgoingGroup[] {
    return this.groups;
  }

  get isEmpty(): boolean {
    return this.groups.length === 0;
  }

  get eventsCount(): number {
    return this.groups.reduce((count, { events }) => count + events.length, 0);
  }

  get front(): OutgoingGroup | undefined {
    return this.groups[0];
  }

  add(key: string, events: readonly OutgoingEvent[], expectedSeq?: number): OutgoingGroup {
    const group = numbered({
      key,
      producerId: this.producerId,
      producerSeq: this.lastProducerSeq + 1,
      events,
      ...(expectedSeq !== undefined && { expectedSeq }),
    });
    this.lastProducerSeq += events.length;
    this.groups.push(group);
    return group;
  }

  /** Takes what another outbox left behind, under the numbers it has: before everything that is here, or after it. */
  adopt(groups: readonly OutgoingGroup[], where: "first" | "last"): void {
    this.groups = where === "first" ? [...groups, ...this.groups] : [...this.groups, ...groups];
  }

  /** Whether anything of the last batch is still to be answered. */
  get isInFlight(): boolean {
    return this.inFlight > 0;
  }

  /** The groups to send now: the same as the last time until they are answered. */
  batch(): readonly OutgoingGroup[] {
    if (this.inFlight === 0) this.inFlight = this.fitting();
    return this.groups.slice(0, this.inFlight);
  }

  /** The batch was refused as a whole. @returns whether it was more than one group, and will go in smaller parts now */
  split(): boolean {
    const isMore = this.inFlight > 1;
    if (isMore) this.groupsMax = 1;
    this.inFlight = 0;
    return isMore;
  }

  /** The batch was taken. @returns what of it had not been taken out before */
  acknowledge(): ReadonlySet<OutgoingGroup> {
    const taken = new Set(this.groups.splice(0, this.inFlight));
    this.inFlight = 0;
    this.groupsMax = Infinity;
    return taken;
  }

  /** Takes out the group that an event belongs to, if it waits here: it was committed. */
  take(producerId: string, producerSeq: number): OutgoingGroup | undefined {
    const at = this.groups.findIndex(
      (group) =>
        group.producerId === producerId &&
        producerSeq >= group.producerSeq &&
        producerSeq < group.producerSeq + group.events.length,
    );
    if (at < 0) return undefined;
    if (at < this.inFlight) this.inFlight--;
    return this.groups.splice(at, 1)[0];
  }

  /**
   * Gives up the group in front. Its numbers go to those behind it, since a hole would be refused; or, should they have
   * been taken after all, all that is left of that producer goes on as another one.
   * @returns what was given another number
   */
  drop(newProducerId?: string): readonly OutgoingGroup[] {
    const dropped = this.groups.shift();
    this.inFlight = 0;
    if (dropped === undefined) return [];
    const producerId = newProducerId ?? dropped.producerId;
    let producerSeq = newProducerId === undefined ? dropped.producerSeq : 1;
    const renumbered: OutgoingGroup[] = [];
    this.groups = this.groups.map((group) => {
      if (group.producerId !== dropped.producerId) return group;
      const again = numbered({ ...group, producerId, producerSeq }, group.bodies);
      producerSeq += group.events.length;
      renumbered.push(again);
      return again;
    });
    if (dropped.producerId === this.producerId) {
      this.producerId = producerId;
      this.lastProducerSeq = producerSeq - 1;
    }
    return renumbered;
  }

  private fitting(): number {
    let events = 0;
    let characters = 0;
    let count = 0;
    for (const group of this.groups) {
      events += group.events.length;
      characters += group.text.length;
      const isFull = events > this.limits.eventsMax || characters > this.limits.charactersMax;
      // A condition is on the whole of a request.
      const isAlone = group.expectedSeq !== undefined;
      if (count > 0 && (isFull || isAlone)) break;
      if (++count >= this.groupsMax || isAlone) break;
    }
    return count;
  }
}

/** A group with its JSON. */
export function numbered(
  group: Omit<OutgoingGroup, "text" | "bodies">,
  known?: readonly string[],
): OutgoingGroup {
  const { producerId, producerSeq, events } = group;
  const bodies = known ?? events.map((event) => JSON.stringify(event));
  const producer = JSON.stringify(producerId);
  const text = bodies
    .map(
      (body, index) =>
        `${body.slice(0, -1)},"producer_id":${producer},"producer_seq":${producerSeq + index}}`,
    )
    .join(",");
  return { ...group, bodies, text };
}

/** A batch as the body of an append. */
export function batchBody(batch: readonly OutgoingGroup[]): string {
  const expectedSeq = batch[0]?.expectedSeq;
  const condition = expectedSeq === undefined ? "" : `,"expected_seq":${expectedSeq}`;
  return `{"events":[${batch.map(({ text }) => text).join(",")}]${condition}}`;
}
