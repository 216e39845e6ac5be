import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "@daybook/test-kit";

/** What a connection may meet, as weights. */
export interface Faults {
  readonly none: number;
  /** Reset after some bytes, in the middle of whatever they are. */
  readonly cut: number;
  /** Silent after some bytes, and never closed. */
  readonly halfOpen: number;
  /** Accepted, and dropped at once. */
  readonly refuse: number;
}

export const CALM: Faults = { none: 1, cut: 0, halfOpen: 0, refuse: 0 };
export const ROUGH: Faults = { none: 4, cut: 3, halfOpen: 1, refuse: 2 };

/** A TCP proxy that delays, cuts and silences connections. Port 0, loopback. */
export class FaultProxy implements AsyncDisposable {
  faults = CALM;
  /** How often each has happened. */
  readonly met = { none: 0, cut: 0, halfOpen: 0, refuse: 0 };
  private readonly open = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private target: URL,
    private readonly random: Random,
  ) {
    server.on("connection", (socket) => this.accept(socket));
  }

  static async start(target: string, random: Random): Promise<FaultProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new FaultProxy(server, new URL(target), random);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** From now on it stands before another server. */
  retarget(target: string): void {
    this.target = new URL(target);
  }

  /** Resets every connection there is. */
  cutAll(): void {
    for (const socket of this.open) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll();
    this.server.close();
    await once(this.server, "close");
  }

  private accept(client: Socket): void {
    const fault = this.random.weighted(this.faults);
    this.met[fault]++;
    this.keep(client);
    if (fault === "refuse") {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(Number(this.target.port), this.target.hostname);
    this.keep(upstream);
    let left = fault === "none" ? Infinity : this.random.between(50, 6_000);
    const pass = (from: Socket, to: Socket): void => {
      from.on("data", (data: Buffer) => {
        left -= data.length;
        if (left >= 0) {
          this.later(() => to.write(data));
          return;
        }
        // What was over the limit never arrives; what was under it does, in mid-frame.
        if (left + data.length > 0) this.later(() => to.write(data.subarray(0, left + data.length)));
        if (fault === "cut")
          this.later(() => void [client, upstream].map((socket) => socket.resetAndDestroy()));
        left = -1;
        if (fault === "halfOpen") for (const socket of [client, upstream]) socket.pause();
      });
      from.on("close", () => {
        if (fault !== "halfOpen" || left >= 0) this.later(() => to.destroy());
      });
    };
    pass(client, upstream);
    pass(upstream, client);
  }

  /** A little later, and in order: every delay is the same. */
  private later(what: () => void): void {
    setTimeout(what, 2);
  }

  private keep(socket: Socket): void {
    this.open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.open.delete(socket));
  }
}
