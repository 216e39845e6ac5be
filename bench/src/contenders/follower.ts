import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { LiveFeeds } from "./live-feed.js";
import type { Listener, Store, StoredEvent } from "./store.js";

/** What waits while old events are read. More than that is read once more instead. */
const HELD_MAX = 1_000;
/** A reader that has taken less than this much of what it was sent gets nothing more for now. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/**
 * Replay, then live, on one socket. It listens first and reads then: what is appended while it reads is held and sent
 * behind. A reader that does not keep up goes back to reading at its own pace.
 */
export class Follower implements Listener {
  private held: StoredEvent[] = [];
  private state: "live" | "reading" | "reading, and again" | "ended" = "reading";
  private leave: (() => void) | undefined;

  private cursor: number;

  constructor(
    private readonly store: Store,
    private readonly id: string,
    private readonly options: {
      readonly cursor: number;
      /** What is sent of events: always some. */
      readonly frames: (events: readonly StoredEvent[]) => readonly (Buffer | string)[];
    },
    private readonly socket: WebSocket,
    /** What is written to in one go: the socket below the WebSocket. */
    private readonly wire: Duplex,
  ) {
    this.cursor = options.cursor;
  }

  async run(feeds: LiveFeeds): Promise<void> {
    this.socket.once("close", () => this.end());
    this.socket.on("error", () => this.socket.terminate());
    this.leave = await feeds.join(this.id, this);
    // It may have gone meanwhile.
    if (this.socket.readyState !== this.socket.OPEN) this.end();
    else await this.catchUp();
  }

  events(events: readonly StoredEvent[]): void {
    if (this.state === "live") {
      this.send(events);
      if (this.socket.bufferedAmount > UNSENT_BYTES_MAX) this.goBack();
    } else if (this.state === "reading") {
      this.held.push(...events);
      if (this.held.length > HELD_MAX) this.lost();
    }
  }

  lost(): void {
    if (this.state === "live") this.goBack();
    else if (this.state === "reading") {
      this.held = [];
      this.state = "reading, and again";
    }
  }

  private goBack(): void {
    this.state = "reading";
    this.catchUp().catch(() => this.socket.close(1011));
  }

  private async catchUp(): Promise<void> {
    while (this.isReading()) {
      await this.drained();
      const limit = this.store.pageEvents;
      const page = await this.store.read(this.id, { after: this.cursor, limit });
      if (!this.isReading()) return;
      this.send(page);
      if (page.length === limit) continue;
      if (this.state === "reading, and again") {
        this.state = "reading";
        continue;
      }
      const { held } = this;
      this.held = [];
      this.state = "live";
      this.send(held);
    }
  }

  private isReading(): boolean {
    return this.state === "reading" || this.state === "reading, and again";
  }

  private send(events: readonly StoredEvent[]): void {
    const fresh = events.filter(({ seq }) => seq > this.cursor);
    const last = fresh.at(-1);
    if (last === undefined) return;
    this.wire.cork();
    for (const frame of this.options.frames(fresh)) this.socket.send(frame, { binary: false });
    this.wire.uncork();
    this.cursor = last.seq;
  }

  private async drained(): Promise<void> {
    if (this.socket.bufferedAmount < UNSENT_BYTES_MAX) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.wire.off("drain", done);
        this.wire.off("close", done);
        resolve();
      };
      this.wire.once("drain", done);
      this.wire.once("close", done);
    });
  }

  private end(): void {
    this.state = "ended";
    this.leave?.();
    this.leave = undefined;
  }
}
