import { appendFrame, ChannelConnection } from "./load-channel.js";
import { postRequest, requestHead } from "./load-connection.js";
import { openSseTail } from "./load-sse-tail.js";
import { openTail, type TailConnection, type TailOptions } from "./load-tail.js";
import type { Target } from "./load-task.js";

/** Stands for how many appends a producer has made in a session before; filled in with spaces in front. */
export const APPENDS_BEFORE = "##########";

/** How a server spells what the generator asks of it. */
export interface Dialect {
  /** Answered with 201. */
  createRequest(target: Target, id: string): Buffer;
  /** @param events the JSON of each */
  appendRequest(
    target: Target,
    append: { readonly id: string; readonly producer: string; readonly events: readonly string[] },
  ): Buffer;
  /** The same as a frame for a socket that `openChannel` gave; both are missing where the protocol has nothing like it. */
  appendFrame?(append: { readonly id: string; readonly events: readonly string[] }): Buffer;
  openChannel?(target: Target, id: string): Promise<ChannelConnection>;
  /** The status of an append that was stored. */
  readonly appendedStatus: number;
  openTail(target: Target, options: TailOptions): Promise<TailConnection>;
}

/** Daybook's sessions, and the stacks that speak a part of it. */
const SESSIONS: Dialect = {
  createRequest: (target, id) => postRequest(target, "/v1/sessions", JSON.stringify({ id })),
  appendRequest: (target, { id, events }) => {
    const [one = ""] = events;
    const body = events.length === 1 ? one : `{"events":[${events.join(",")}]}`;
    return postRequest(target, `/v1/sessions/${id}/append`, body);
  },
  appendFrame: ({ id, events }) => appendFrame(id, events),
  openChannel: (target, id) => ChannelConnection.open(target, id),
  appendedStatus: 201,
  openTail,
};

/** The Durable Streams protocol: a stream of JSON messages a session, the producer in headers. */
const DURABLE_STREAMS: Dialect = {
  createRequest: (target, id) =>
    Buffer.from(
      `${requestHead(target, `PUT ${streamPath(id)}`)}content-type: application/json\r\ncontent-length: 0\r\n\r\n`,
    ),
  appendRequest: (target, { id, producer, events }) => {
    const [one = ""] = events;
    const body = events.length === 1 ? one : `[${events.join(",")}]`;
    const headers = {
      "content-type": "application/json",
      "producer-id": producer,
      "producer-epoch": "0",
      "producer-seq": APPENDS_BEFORE,
      "content-length": String(Buffer.byteLength(body)),
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return Buffer.from(`${requestHead(target, `POST ${streamPath(id)}`)}${lines.join("")}\r\n${body}`);
  },
  appendedStatus: 200,
  openTail: (target, options) =>
    openSseTail(target, { ...options, path: `${streamPath(options.id)}?offset=-1&live=sse` }),
};

export function dialectOf({ api = "sessions" }: Target): Dialect {
  switch (api) {
    case "sessions":
      return SESSIONS;
    case "durable streams":
      return DURABLE_STREAMS;
  }
}

function streamPath(id: string): string {
  return `/v1/stream/${id}`;
}
