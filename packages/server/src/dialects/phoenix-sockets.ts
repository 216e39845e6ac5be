import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { DaybookError } from "@daybook/protocol";
import type { Logger } from "pino";
import { WebSocketServer } from "ws";
import type { Gate } from "../http/access.js";
import type { DrainList } from "../http/drain.js";
import { checkOrigin, type OriginPolicy } from "../http/origin-guard.js";
import { refuseSocket } from "../http/refuse-socket.js";
import { asDaybookError } from "../http/send-error.js";
import { Query } from "../service/query.js";
import { PhoenixSocket, type JoinTopic, type Subscriber } from "./phoenix-socket.js";
import type { Serializer } from "./phoenix-message.js";
import type { SocketPings } from "./socket-pings.js";
import { reasonOf } from "./refused-push.js";

/**
 * All topics are to be had on each. Clients of conversations are given the second as their base URL as well, and the
 * phoenix client appends `/websocket` by itself.
 */
export const SOCKET_PATHS: readonly string[] = [
  "/v1/socket/websocket",
  "/socket/websocket",
  "/socket/websocket/websocket",
];

/** Room for an envelope around the largest event list. */
const ENVELOPE_BYTES_MAX = 64 * 1024;

/** Opens a topic of one kind; what comes behind its prefix is given. @throws DaybookError whose code is the reason */
export type TopicKind = (
  name: string,
  payload: string,
  subscriber: Subscriber,
) => Promise<Awaited<ReturnType<JoinTopic>>>;

export interface PhoenixOptions {
  readonly gate: Gate;
  readonly origins: OriginPolicy;
  readonly drains: DrainList;
  readonly pings: SocketPings;
  readonly logger: Logger;
  readonly batchBytesMax: number;
  /** Topic prefixes (`tail:`) and whole topics (`lifecycle`). */
  readonly topics: ReadonlyMap<string, TopicKind>;
}

/** Phoenix channels: many topics on one WebSocket. */
export class PhoenixSockets {
  private readonly server: WebSocketServer;

  constructor(private readonly options: PhoenixOptions) {
    this.server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: options.batchBytesMax + ENVELOPE_BYTES_MAX,
      perMessageDeflate: false,
    });
    this.server.on("wsClientError", (cause, socket) => {
      const message = `This is no WebSocket upgrade: ${cause.message}.`;
      refuseSocket(socket, new DaybookError("invalid_websocket_upgrade", message, { cause }));
    });
  }

  /** Takes an upgrade. The token of the query is checked now; topics may bring their own later. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { gate, origins, logger } = this.options;
    const ignore = (): void => undefined;
    socket.on("error", ignore);
    try {
      checkOrigin(request.headers, origins);
      const query = Query.parse(request.url?.split("?")[1] ?? "");
      const serializer = serializerOf(query.one("vsn", "invalid_websocket_upgrade"));
      const token = query.one("token", "forbidden");
      const caller = await Promise.resolve(
        gate.admit(request, token, { locked: "handled" }, undefined),
      ).catch(asForbidden);
      if (socket.destroyed) return;
      this.server.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on("error", ignore);
        new PhoenixSocket(webSocket, socket, { caller, serializer, logger, join: this.join });
        const forget = [
          this.options.pings.add(webSocket, socket),
          this.options.drains.add({
            drain: () => webSocket.close(1001, "server_draining"),
            cut: () => webSocket.terminate(),
          }),
        ];
        webSocket.on("close", () => {
          for (const undo of forget) undo();
        });
      });
    } catch (error) {
      refuseSocket(socket, asForbiddenError(asDaybookError(error)));
    } finally {
      socket.off("error", ignore);
    }
  }

  private readonly join: JoinTopic = async (topic, payload, subscriber) => {
    const colon = topic.indexOf(":");
    const kind = this.options.topics.get(colon < 0 ? topic : topic.slice(0, colon + 1));
    if (kind === undefined) return { reason: "unmatched topic" };
    try {
      return await kind(colon < 0 ? "" : topic.slice(colon + 1), payload, subscriber);
    } catch (error) {
      const refusal = asDaybookError(error);
      if (refusal.facts.http >= 500)
        this.options.logger.error({ err: refusal.cause ?? refusal }, "a join failed");
      return { reason: reasonOf(refusal) };
    }
  };
}

function serializerOf(version: string | undefined): Serializer {
  if (version === undefined || version.startsWith("1.")) return "1.0.0";
  if (version.startsWith("2.")) return "2.0.0";
  throw new DaybookError(
    "invalid_websocket_upgrade",
    `There is no serializer ${JSON.stringify(version)}: use 1.0.0 or 2.0.0.`,
  );
}

/** At connect, a bad token is a 403: that is what clients of this protocol know. */
function asForbiddenError(error: DaybookError): DaybookError {
  return error.code === "unauthorized" ? new DaybookError("forbidden", error.message) : error;
}

function asForbidden(error: unknown): never {
  throw asForbiddenError(asDaybookError(error));
}
