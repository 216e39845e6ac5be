import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { Follower } from "./follower.js";
import type { LiveFeeds } from "./live-feed.js";
import { appendAnswer, isAppendBody, newEvents } from "./append-body.js";
import type { Store, StoredEvent } from "./store.js";

type Message = [joinRef: string | null, ref: string, topic: string, event: string, payload: unknown];

/**
 * One WebSocket for many sessions, as chat front ends have it: a client joins topics, gets their events, and appends. It
 * speaks the part of the Phoenix protocol that is measured.
 */
export class ChannelSocket {
  private readonly followers = new Map<string, Follower>();

  constructor(
    private readonly store: Store,
    private readonly feeds: LiveFeeds,
    private readonly socket: WebSocket,
    private readonly wire: Duplex,
  ) {
    socket.on("error", () => socket.terminate());
    socket.on("message", (data: Buffer) => {
      this.handle(JSON.parse(data.toString()) as Message).catch(() => socket.close(1011));
    });
  }

  private async handle([joinRef, ref, topic, event, payload]: Message): Promise<void> {
    const id = topic.replace(/^tail:/, "");
    const reply = (status: "ok" | "error", response: unknown): void =>
      this.socket.send(JSON.stringify([joinRef, ref, topic, "phx_reply", { status, response }]));
    if (event === "phx_join") await this.join(id, { joinRef, topic, payload }, reply);
    else if (event === "append" && this.followers.has(topic)) await this.append(id, payload, reply);
    else reply("ok", {});
  }

  private async join(
    id: string,
    { joinRef, topic, payload }: { joinRef: string | null; topic: string; payload: unknown },
    reply: (status: "ok" | "error", response: unknown) => void,
  ): Promise<void> {
    if (!(await this.store.exists(id))) {
      reply("error", { reason: "session_not_found" });
      return;
    }
    const { cursor = 0 } = payload as { cursor?: number };
    const head = JSON.stringify([joinRef, null, topic, "events"]).slice(0, -1);
    const frames = (events: readonly StoredEvent[]): string[] => [
      `${head},{"events":[${events.map(({ bytes }) => bytes.toString()).join(",")}]}]`,
    ];
    const follower = new Follower(this.store, id, { cursor, frames }, this.socket, this.wire);
    this.followers.set(topic, follower);
    reply("ok", {});
    await follower.run(this.feeds);
  }

  private async append(
    id: string,
    payload: unknown,
    reply: (status: "ok" | "error", response: unknown) => void,
  ): Promise<void> {
    const { event, events } = payload as { event?: unknown; events?: unknown };
    const body: unknown = events === undefined ? event : { events };
    if (!isAppendBody(body)) {
      reply("error", { reason: "invalid_event" });
      return;
    }
    const outcome = await this.store.append(id, newEvents(body));
    if (outcome.kind === "appended") reply("ok", appendAnswer(outcome, body));
    else reply("error", { reason: outcome.kind });
  }
}
