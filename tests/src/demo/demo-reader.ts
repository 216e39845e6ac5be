import { WebSocket } from "ws";

/** Follows a session from its beginning, whatever happens to the connection, and keeps the very text of each event. */
export class DemoReader {
  /** `texts[n]` is the event with seq n + 1, as it came. */
  readonly texts: string[] = [];
  readonly problems: string[] = [];
  longestPauseMs = 0;
  cuts = 0;
  private socket: WebSocket | undefined;
  private lastAt = performance.now();
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly token: string | undefined,
    /** Cuts its own connection after about this many milliseconds, again and again. */
    private readonly cutEveryMs?: number,
  ) {}

  follow(): void {
    if (this.stopped) return;
    const query = `cursor=${this.texts.length}${this.token === undefined ? "" : `&access_token=${this.token}`}`;
    const socket = new WebSocket(`${this.url}/tail?${query}`);
    this.socket = socket;
    const cut =
      this.cutEveryMs === undefined
        ? undefined
        : setTimeout(() => this.cut(), this.cutEveryMs * (0.5 + Math.random()));
    socket.on("message", (data) => this.take((data as Buffer).toString("utf8")));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(cut);
      setTimeout(() => this.follow(), 50);
    });
  }

  stop(): void {
    this.stopped = true;
    this.socket?.terminate();
  }

  private cut(): void {
    this.cuts++;
    this.socket?.terminate();
  }

  private take(text: string): void {
    const { seq } = JSON.parse(text) as { seq: number };
    if (seq !== this.texts.length + 1) this.problems.push(`seq ${seq} came after ${this.texts.length}`);
    this.texts.push(text);
    const now = performance.now();
    this.longestPauseMs = Math.max(this.longestPauseMs, now - this.lastAt);
    this.lastAt = now;
  }
}
