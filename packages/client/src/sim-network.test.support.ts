import type { Random } from "@daybook/test-kit";
import type { FetchLike, WebSocketConstructor, WebSocketLike } from "./environment.js";
import type { PageClock, SimClock } from "./sim-clock.test.support.js";
import { refusal, type SimAnswer, type SimServer } from "./sim-server.test.support.js";

/** How bad it is: chances of each, per request or message. */
export interface Weather {
  /** A request that never arrives, or a socket that is cut. */
  readonly drop: number;
  /** A request that arrives, and its answer is lost. */
  readonly lostAnswer: number;
  /** A request that something on the way sends twice. */
  readonly twice: number;
  /** An answer of a proxy, or of a server that cannot now. */
  readonly unavailable: number;
  /** So slow that nobody waits for it any more. */
  readonly slow: number;
  /** A socket that goes silent without being closed. */
  readonly halfOpen: number;
}

export const FINE: Weather = { drop: 0, lostAnswer: 0, twice: 0, unavailable: 0, slow: 0, halfOpen: 0 };
export const STORM: Weather = {
  drop: 0.08,
  lostAnswer: 0.08,
  twice: 0.05,
  unavailable: 0.08,
  slow: 0.03,
  halfOpen: 0.02,
};

/** What lies between pages and the server. */
export class SimNetwork {
  weather = FINE;
  private readonly sockets = new Set<SimSocket>();

  constructor(
    readonly clock: SimClock,
    readonly server: SimServer,
    readonly random: Random,
  ) {}

  /** The server restarts, or the network changes: every socket is cut, and told so or not. */
  cutAll(): void {
    for (const socket of [...this.sockets])
      if (this.random.chance(0.5)) socket.cut(1001);
      else socket.goSilent();
  }

  delayMs(): number {
    return this.random.chance(this.weather.slow)
      ? this.random.between(20_000, 60_000)
      : this.random.between(1, 80);
  }

  fetchOf(page: PageClock): FetchLike {
    return (url, { method, headers, body, signal }) =>
      new Promise((resolve, reject) => {
        const fail = (): void => {
          if (!page.isGone) reject(new TypeError("fetch failed"));
        };
        signal.addEventListener("abort", fail);
        if (page.isGone) return;
        const token = (headers.authorization ?? "").replace("Bearer ", "");
        const answer = (given: SimAnswer): void => {
          this.clock.after(this.delayMs(), () => {
            if (!page.isGone) resolve(responseOf(given));
          });
        };
        this.deliver(() => this.server.answer(method, url, token, body), answer, fail);
      });
  }

  socketOf(page: PageClock): WebSocketConstructor {
    const open = (url: string): SimSocket => {
      const socket = new SimSocket(this, page, new URL(url).searchParams.get("token") ?? "");
      this.sockets.add(socket);
      return socket;
    };
    return function (url: string) {
      return open(url);
    } as unknown as WebSocketConstructor;
  }

  closed(socket: SimSocket): void {
    this.sockets.delete(socket);
  }

  private deliver(process: () => SimAnswer, answer: (given: SimAnswer) => void, fail: () => void): void {
    const { random, weather, clock } = this;
    const arrivalMs = this.delayMs();
    if (random.chance(weather.drop)) clock.after(arrivalMs, fail);
    else if (random.chance(weather.unavailable))
      clock.after(arrivalMs, () => answer(refusal(503, "storage_unavailable")));
    else if (random.chance(weather.lostAnswer)) {
      clock.after(arrivalMs, process);
      clock.after(arrivalMs + this.delayMs(), random.chance(0.5) ? fail : () => undefined);
    } else {
      clock.after(arrivalMs, () => answer(process()));
      if (random.chance(weather.twice)) clock.after(arrivalMs + this.delayMs(), process);
    }
  }
}

function responseOf({ status, body }: SimAnswer): Awaited<ReturnType<FetchLike>> {
  return { status, headers: { get: () => null }, text: () => Promise.resolve(JSON.stringify(body)) };
}

/** A WebSocket with Phoenix channels at its other end. What is sent arrives in order, or not at all. */
class SimSocket implements WebSocketLike {
  onopen: WebSocketLike["onopen"] = null;
  onmessage: WebSocketLike["onmessage"] = null;
  onclose: WebSocketLike["onclose"] = null;
  onerror: WebSocketLike["onerror"] = null;
  private state: "connecting" | "open" | "silent" | "closed" = "connecting";
  private readonly topics = new Map<string, Exclude<ReturnType<SimServer["follow"]>, string>>();
  private upMs = 0;
  private downMs = 0;

  constructor(
    private readonly network: SimNetwork,
    private readonly page: PageClock,
    token: string,
  ) {
    const { random, weather, clock, server } = network;
    const refused = random.chance(weather.drop) || server.isExpired(token);
    if (random.chance(weather.halfOpen)) this.state = "silent";
    clock.after(network.delayMs(), () => {
      if (this.state !== "connecting") return;
      if (refused) this.cut(1006);
      else {
        this.state = "open";
        this.call(this.onopen, {});
      }
    });
  }

  send(data: string): void {
    if (this.state !== "open") return;
    const { random, weather, clock } = this.network;
    if (random.chance(weather.halfOpen)) this.goSilent();
    this.upMs = Math.max(this.upMs, clock.nowMs + random.between(1, 80));
    clock.after(this.upMs - clock.nowMs, () => {
      if (this.state === "open") this.arrived(JSON.parse(data) as Frame);
    });
  }

  close(): void {
    this.leaveAll();
    this.state = "closed";
    this.network.closed(this);
  }

  cut(code: number): void {
    if (this.state === "closed") return;
    this.close();
    this.network.clock.after(1, () => this.call(this.onclose, { code }));
  }

  goSilent(): void {
    this.state = "silent";
    this.leaveAll();
  }

  private arrived([joinRef, ref, topic, event, payload]: Frame): void {
    const reply = (status: "ok" | "error", response: object): void =>
      this.push([joinRef, ref, topic, "phx_reply", { status, response }]);
    const joined = this.topics.get(topic);
    if (event === "phx_join") this.join(topic, joinRef, payload, reply);
    else if (event === "token" && joined !== undefined && typeof payload.token === "string") {
      if (this.network.server.isExpired(payload.token)) reply("error", { reason: "token_expired" });
      else this.network.server.replaceToken(joined, payload.token);
    } else {
      if (event === "phx_leave" && joined !== undefined) this.network.server.forget(joined);
      reply("ok", {});
    }
  }

  private join(
    topic: string,
    joinRef: string | null,
    { cursor, token }: Frame[4],
    reply: (status: "ok" | "error", response: object) => void,
  ): void {
    const before = this.topics.get(topic);
    if (before !== undefined) this.network.server.forget(before);
    const push = (name: string, body: unknown): void => this.push([joinRef, null, topic, name, body]);
    const follower = this.network.server.follow({ cursor: Number(cursor), token: String(token) }, push);
    if (follower === "token_expired") {
      reply("error", { reason: follower });
      return;
    }
    this.topics.set(topic, follower);
    reply("ok", { last_seq: this.network.server.log.length });
    this.network.server.feed(follower);
  }

  private push(frame: readonly unknown[]): void {
    if (this.state !== "open") return;
    const { random, weather, clock } = this.network;
    if (random.chance(weather.drop / 4)) {
      this.cut(1006);
      return;
    }
    this.downMs = Math.max(this.downMs, clock.nowMs + random.between(1, 80));
    const data = JSON.stringify(frame);
    const times = random.chance(weather.twice) ? 2 : 1;
    for (let time = 0; time < times; time++)
      clock.after(this.downMs - clock.nowMs, () => {
        if (this.state === "open") this.call(this.onmessage, { data });
      });
  }

  private leaveAll(): void {
    for (const follower of this.topics.values()) this.network.server.forget(follower);
    this.topics.clear();
  }

  private call(handler: ((event: never) => void) | null, event: object): void {
    if (!this.page.isGone) handler?.(event as never);
  }
}

type Frame = readonly [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: Readonly<Record<string, unknown>>,
];
