import type { FastifyReply, FastifyRequest } from "fastify";
import type { Authenticator } from "../auth/authenticator.js";
import type { DrainList } from "../http/drain.js";
import type { Metrics } from "../metrics.js";
import type { Caller } from "../service/caller.js";

/** How often, at least, a comment shows that the connection lives. */
const HEARTBEAT_SECONDS_MAX = 15;
const BUFFERED_BYTES_MAX = 1024 * 1024;

export interface ServerEventsOptions {
  readonly caller: Caller;
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly authenticator: Authenticator;
  readonly pingSeconds: number;
}

/** Something that is read as long as the stream is open. */
export interface Followed {
  start(): void;
  resume(): void;
  stop(): void;
}

/** An open `text/event-stream` answer. */
export interface ServerEvents {
  /** False when the reader is slow. */
  send(bytes: Buffer): boolean;
  end(lastWords: string): void;
  /** Starts reading, and stops with the connection, the server or the caller's token. */
  follow(followed: Followed): void;
}

/** Does the caller ask for `text/event-stream`? */
export function asksForServerEvents({ headers }: FastifyRequest): boolean {
  return headers.accept?.toLowerCase().includes("text/event-stream") === true;
}

/** Takes the response over from fastify, with the headers that were set so far. */
export function openServerEvents(
  reply: FastifyReply,
  { caller, metrics, drains, authenticator, pingSeconds }: ServerEventsOptions,
): ServerEvents {
  const headers = reply.getHeaders();
  reply.hijack();
  const stream = reply.raw;
  stream.writeHead(200, {
    ...headers,
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  } as Record<string, string>);
  // Sent at once: the client's "open" must not wait for the first event.
  stream.write(": following\n\n");
  let stopped: (lastWords: string) => void = (lastWords) => stream.end(lastWords);
  return {
    send: (bytes) => stream.write(bytes) || stream.writableLength < BUFFERED_BYTES_MAX,
    end: (lastWords) => stopped(lastWords),
    follow: (followed) => {
      const heartbeatMs = Math.min(pingSeconds, HEARTBEAT_SECONDS_MAX) * 1000;
      const heartbeat = setInterval(() => stream.write(": still here\n\n"), heartbeatMs);
      const stop = (): void => {
        followed.stop();
        clearInterval(heartbeat);
      };
      stopped = (lastWords) => {
        // First: what comes while the stream ends must not be written behind its end.
        stop();
        stream.end(lastWords);
      };
      const undo = [
        drains.add({ drain: () => stopped("") }),
        authenticator.onEnd(caller, (how) => stopped(`event: ${how}\ndata: {}\n\n`)),
      ];
      metrics.openTails.inc({ kind: "sse" });
      // A broken connection ends in "close"; there is nobody left to tell.
      stream.on("error", () => undefined);
      stream.on("drain", () => followed.resume());
      stream.on("close", () => {
        stop();
        for (const one of undo) one();
        metrics.openTails.dec({ kind: "sse" });
      });
      followed.start();
    },
  };
}
