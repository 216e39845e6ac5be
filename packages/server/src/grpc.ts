import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { RpcDoor } from "./http/rpc-door.js";

/** Calls in progress on one connection. */
const STREAMS_MAX = 1_000;
/** A connection without calls is let go; clients connect again by themselves. */
const IDLE_MS = 10 * 60 * 1000;
const KEEPALIVE_MS = 60_000;

/** gRPC over plain HTTP/2, on a port of its own: a port that answers HTTP/1.1 cannot tell the two apart. */
export class GrpcListener {
  private readonly server: Http2Server;
  private readonly sessions = new Set<ServerHttp2Session>();

  constructor(door: RpcDoor, requestSeconds: number) {
    this.server = createServer({ settings: { maxConcurrentStreams: STREAMS_MAX } }, (request, response) => {
      // A request that does not get on is cut; an answer may take as long as its reader does.
      const cut = setTimeout(() => request.stream.close(), requestSeconds * 1000);
      request.once("end", () => clearTimeout(cut));
      request.once("close", () => clearTimeout(cut));
      if (door.handle(request, response)) return;
      // What gRPC says of a call that there is not.
      request.stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "12" },
        { endStream: true },
      );
    });
    this.server.on("connection", (socket: Socket) => socket.setKeepAlive(true, KEEPALIVE_MS));
    this.server.on("session", (session) => this.follow(session));
    // A broken connection ends its session, and that is all there is to it.
    this.server.on("sessionError", () => undefined);
  }

  /** @returns the port */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((listening, failed) => {
      this.server.once("error", failed);
      this.server.listen(port, host, listening);
    });
    return (this.server.address() as AddressInfo).port;
  }

  /** Takes no more calls; those in progress finish, or are cut after a while. */
  async close(drainSeconds: number): Promise<void> {
    const cut = setTimeout(() => {
      for (const session of this.sessions) session.destroy();
    }, drainSeconds * 1000);
    await new Promise<void>((done) => {
      this.server.close(() => done());
      for (const session of this.sessions) session.close();
    });
    clearTimeout(cut);
  }

  private follow(session: ServerHttp2Session): void {
    this.sessions.add(session);
    session.setTimeout(IDLE_MS, () => session.close());
    session.on("close", () => this.sessions.delete(session));
  }
}
