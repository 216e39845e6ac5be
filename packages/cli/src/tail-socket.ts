import { on } from "node:events";
import type { IncomingMessage } from "node:http";
import WebSocket from "ws";
import type { Connection } from "./connection.js";
import { sessionPath } from "./session-calls.js";

export interface TailRequest {
  readonly session: string;
  readonly cursor: number;
  readonly agent?: string;
}

/** Why one socket's tail is over. */
export type TailEnd =
  | { readonly kind: "closed"; readonly code: number; readonly reason: string }
  | { readonly kind: "refused"; readonly status: number; readonly text: string; readonly retryAfter?: string }
  | { readonly kind: "failed"; readonly message: string };

/** A peer that has not answered a ping for so long is gone, whatever TCP still believes. */
const PING_EVERY_MS = 20_000;

const HANDSHAKE_MAX_MS = 15_000;

/** Frames kept for a slow reader before the socket is told to wait. */
const FRAMES_AHEAD_MAX = 256;

/** One WebSocket's worth of a raw tail. */
export interface TailSocket {
  /** Each event's JSON text exactly as received. A slow reader makes the socket wait, so nothing piles up here. */
  readonly frames: AsyncGenerator<string>;
  /** Why there are no more. */
  readonly ended: Promise<TailEnd>;
}

export function openTailSocket(
  connection: Connection,
  request: TailRequest,
  signal: AbortSignal,
): TailSocket {
  const { token } = connection;
  const socket = new WebSocket(tailUrl(connection.baseUrl, request), {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_MAX_MS,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  return { ended: endOf(socket), frames: framesOf(socket, signal) };
}

/** Closes the socket when the reader stops reading, or the signal fires. */
async function* framesOf(socket: WebSocket, signal: AbortSignal): AsyncGenerator<string> {
  const stopPinging = keepAlive(socket);
  const abort = (): void => socket.terminate();
  signal.addEventListener("abort", abort);
  try {
    const frames = on(socket, "message", { close: ["close"], highWaterMark: FRAMES_AHEAD_MAX });
    for await (const [data, isBinary] of frames as AsyncIterable<[Buffer, boolean]>) {
      if (!isBinary) yield data.toString("utf8");
    }
  } catch {
    // The iterator throws what the socket failed with, and `ended` says that too.
  } finally {
    signal.removeEventListener("abort", abort);
    stopPinging();
    socket.terminate();
  }
}

export function tailUrl(baseUrl: string, request: TailRequest): string {
  const query = new URLSearchParams({ cursor: String(request.cursor) });
  if (request.agent !== undefined) query.set("agent", request.agent);
  return `${baseUrl.replace(/^http/i, "ws")}${sessionPath(request.session)}/tail?${query.toString()}`;
}

async function endOf(socket: WebSocket): Promise<TailEnd> {
  return new Promise((resolve) => {
    socket.on("close", (code, reason) => resolve({ kind: "closed", code, reason: reason.toString("utf8") }));
    socket.on("error", (error) => resolve({ kind: "failed", message: error.message }));
    socket.on("unexpected-response", (_request, response) => {
      void readRefusal(response).then((refusal) => {
        resolve(refusal);
        socket.terminate();
      });
    });
  });
}

const REFUSAL_LENGTH_MAX = 64 * 1024;

async function readRefusal(response: IncomingMessage): Promise<TailEnd> {
  let text = "";
  try {
    for await (const chunk of response.setEncoding("utf8")) {
      text += chunk as string;
      if (text.length > REFUSAL_LENGTH_MAX) break;
    }
  } catch {
    // What came of it has to do: the status says the most.
  }
  const retryAfter = response.headers["retry-after"];
  const refusal = { kind: "refused", status: response.statusCode ?? 0, text } as const;
  return retryAfter === undefined ? refusal : { ...refusal, retryAfter };
}

function keepAlive(socket: WebSocket): () => void {
  let isAlive = true;
  const heard = (): void => {
    isAlive = true;
  };
  socket.on("pong", heard).on("ping", heard).on("message", heard);
  const timer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN || socket.isPaused) return;
    if (!isAlive) {
      socket.terminate();
      return;
    }
    isAlive = false;
    socket.ping();
  }, PING_EVERY_MS);
  return () => clearInterval(timer);
}
