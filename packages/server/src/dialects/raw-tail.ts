import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { LogId } from "@daybook/core";
import { DaybookError, LIMITS } from "@daybook/protocol";
import type { StoredEvent } from "@daybook/engine";
import type { Logger } from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import type { Authenticator } from "../auth/authenticator.js";
import type { Access, Gate } from "../http/access.js";
import type { DrainList } from "../http/drain.js";
import { checkOrigin, type OriginPolicy } from "../http/origin-guard.js";
import { refuseSocket } from "../http/refuse-socket.js";
import { asDaybookError } from "../http/send-error.js";
import type { Metrics } from "../metrics.js";
import type { Caller } from "../service/caller.js";
import { actorTest, eventArray, eventPrefix } from "../service/event-frame.js";
import { Query, readAgent, readCursor, refuseBeyond } from "../service/query.js";
import type { SessionService } from "../service/session-service.js";
import { logFailedRead } from "./log-failed-read.js";
import { eventFrames, textFrame } from "./socket-frame.js";
import type { SocketPings } from "./socket-pings.js";

/** Bytes the kernel has not taken yet; beyond it a reader is slow and gets no more until it drains. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** What clients send is ignored; this is how much of it is read to ignore it. */
const CLIENT_FRAME_BYTES_MAX = 64 * 1024;

const FOLLOW: Access = { scope: "session:read", locked: "own", tokenInQuery: true };

export interface RawTailOptions {
  readonly service: SessionService;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly drains: DrainList;
  readonly pings: SocketPings;
  readonly origins: OriginPolicy;
  readonly gate: Gate;
  readonly authenticator: Authenticator;
}

/** `GET /v1/sessions/:id/tail` upgraded to a WebSocket: events after a cursor, then live, one JSON text a frame. */
export class RawTails {
  private readonly sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: CLIENT_FRAME_BYTES_MAX,
    // Compression costs ten times what it sends; frames are shared between readers instead.
    perMessageDeflate: false,
  });

  constructor(private readonly options: RawTailOptions) {
    this.sockets.on("wsClientError", (cause, socket) => {
      const message = `This is no WebSocket upgrade: ${cause.message}.`;
      refuseSocket(socket, new DaybookError("invalid_websocket_upgrade", message, { cause }));
    });
  }

  /** Takes an upgrade of a session's tail. `encodedId` is the id as it stands in the path. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, encodedId: string): Promise<void> {
    // Until `ws` has it, nobody else listens to this socket.
    socket.on("error", ignore);
    try {
      const plan = await this.plan(request, encodedId);
      if (socket.destroyed) return;
      this.sockets.handleUpgrade(request, socket, head, (webSocket) => this.follow(webSocket, socket, plan));
    } catch (error) {
      refuseSocket(socket, asDaybookError(error));
    } finally {
      socket.off("error", ignore);
    }
  }

  /** Everything that can be wrong is found before the upgrade is answered. */
  private async plan(request: IncomingMessage, encodedId: string): Promise<TailPlan> {
    const { service, origins, gate } = this.options;
    checkOrigin(request.headers, origins);
    const query = Query.parse(request.url?.split("?")[1] ?? "");
    // A query that cannot be read is a bad request, not a missing token.
    query.refuseBad("invalid_request");
    const token = gate.tokenOf(request, query, FOLLOW);
    const sessionId = decodedId(encodedId);
    const caller = await gate.admit(request, token, FOLLOW, sessionId);
    const id = service.logId(caller, sessionId);
    const cursor = readCursor(query) ?? 0;
    const batch = query.integer("batch_size", "invalid_tail_batch_size", {
      minimum: 2,
      maximum: LIMITS.tailBatchSizeMax,
    });
    const actor = readAgent(query);
    refuseBeyond(cursor, service.lastSeq(id));
    const prefix = eventPrefix(caller.principal.tenant);
    return {
      caller,
      id,
      cursor,
      frames: batch === undefined ? (events) => eventFrames(prefix, events) : batchFrames(prefix, batch),
      wanted: actor === undefined ? undefined : actorTest(actor),
    };
  }

  private follow(
    webSocket: WebSocket,
    socket: Duplex,
    { caller, id, cursor, frames, wanted }: TailPlan,
  ): void {
    const { service, metrics, drains, pings, authenticator, logger } = this.options;
    const tail = service.tail(
      id,
      cursor,
      {
        // Whole frames written straight to the socket, between those of `ws`: it has nothing queued, since it is only
        // asked for pings and the close.
        send: (events) =>
          // Nothing may follow a close frame, whoever sent it.
          webSocket.readyState === webSocket.OPEN &&
          (socket.write(frames(events)) || socket.writableLength < BUFFERED_BYTES_MAX),
        end: (error) => {
          logFailedRead(logger, error);
          closeFor(webSocket, error);
        },
      },
      {
        ...(wanted !== undefined && { wanted }),
        count: (events, live) => metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events),
      },
    );
    const end = (code: number, reason: string): void => {
      // Nothing may follow a close frame.
      tail.stop();
      webSocket.close(code, reason);
    };
    socket.on("drain", () => tail.resume());
    const forget = [
      pings.add(webSocket, socket),
      drains.add({ drain: () => end(1001, "server_draining"), cut: () => webSocket.terminate() }),
      authenticator.onEnd(caller, (how) => end(4001, how)),
    ];
    metrics.openTails.inc({ kind: "websocket" });
    webSocket.on("close", () => {
      tail.stop();
      for (const undo of forget) undo();
      metrics.openTails.dec({ kind: "websocket" });
    });
    // A broken connection ends in "close"; there is nobody left to tell.
    webSocket.on("error", ignore);
    tail.start();
  }
}

/** What a socket asked for, checked. */
interface TailPlan {
  readonly caller: Caller;
  readonly id: LogId;
  readonly cursor: number;
  readonly frames: (events: readonly StoredEvent[]) => Buffer;
  readonly wanted: ((event: StoredEvent) => boolean) | undefined;
}

const ignore = (): void => undefined;

function batchFrames(prefix: Buffer, batchSize: number): (events: readonly StoredEvent[]) => Buffer {
  return (events) => {
    const frames: Buffer[] = [];
    for (let at = 0; at < events.length; at += batchSize) {
      frames.push(textFrame([eventArray(prefix, events.slice(at, at + batchSize))]));
    }
    return Buffer.concat(frames);
  };
}

/** Why a socket ends, as its close code: 4004 is final, 1011 may be tried again. */
function closeFor(webSocket: WebSocket, { code }: DaybookError): void {
  if (code === "session_not_found") webSocket.close(4004, "session_deleted");
  else webSocket.close(1011, code);
}

export function decodedId(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw new DaybookError("invalid_session_id", "The path is not percent-encoded UTF-8.", { cause });
  }
}
