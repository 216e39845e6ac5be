import type { Random } from "@daybook/test-kit";
import { Daybook } from "./daybook.js";
import type { Environment, LocksLike } from "./environment.js";
import type { DaybookError } from "./errors.js";
import { PageClock } from "./sim-clock.test.support.js";
import type { SimNetwork } from "./sim-network.test.support.js";
import type { Session } from "./session.js";
import type { Store } from "./store.js";

/** Web Locks of a browser: a page that is gone holds none. */
export class SimLocks {
  private readonly lines = new Map<string, { readonly page: PageClock; readonly grant: () => void }[]>();

  of(page: PageClock): LocksLike {
    return {
      request: (name, { ifAvailable = false, signal }, held) => {
        const line = this.lines.get(name) ?? [];
        this.lines.set(name, line);
        if (ifAvailable && line.length > 0) return held(null);
        return new Promise((resolve, reject) => {
          const place = {
            page,
            grant: () => {
              void held({ name }).finally(() => {
                this.leave(name, place);
                resolve(undefined);
              });
            },
          };
          line.push(place);
          signal?.addEventListener("abort", () => {
            // Who holds it already lets go of it himself.
            if (line[0] === place) return;
            this.leave(name, place);
            reject(new Error("aborted"));
          });
          if (line[0] === place) place.grant();
        });
      },
    };
  }

  release(page: PageClock): void {
    for (const [name, line] of this.lines)
      for (const place of line.filter((one) => one.page === page)) this.leave(name, place);
  }

  private leave(name: string, place: { readonly page: PageClock; readonly grant: () => void }): void {
    const line = this.lines.get(name) ?? [];
    const at = line.indexOf(place);
    if (at < 0) return;
    line.splice(at, 1);
    if (at === 0) line[0]?.grant();
  }
}

/** What outlives pages. */
export interface Browser {
  readonly network: SimNetwork;
  readonly random: Random;
  readonly store: Store;
  readonly locks: SimLocks;
  readonly actor: string;
}

const TOKEN_MS = 45_000;

/** One page of a browser, with a client and a session, from its load to its end. */
export class SimPage {
  readonly session: Session;
  readonly seen: number[] = [];
  readonly errors: DaybookError[] = [];
  readonly clock: PageClock;
  private readonly wakers = new Set<() => void>();

  constructor(private readonly browser: Browser) {
    const { network, random, store, locks, actor } = browser;
    this.clock = new PageClock(network.clock);
    const newId = (): string => `${actor}-${random.next().toString(36).slice(2)}`;
    const environment: Environment = {
      clock: this.clock,
      random: () => random.next(),
      newId,
      locks: locks.of(this.clock),
      onWake: (callback) => {
        this.wakers.add(callback);
        return () => void this.wakers.delete(callback);
      },
    };
    const daybook = new Daybook({
      baseUrl: "http://daybook.test",
      fetch: network.fetchOf(this.clock),
      WebSocket: network.socketOf(this.clock),
      store,
      environment,
    });
    const token = network.server.mint(actor, TOKEN_MS);
    this.session = daybook.session({ token, refreshToken: () => this.refresh() });
    this.session.on("event", ({ seq }) => void this.seen.push(seq));
    this.session.on("error", (error) => void this.errors.push(error));
  }

  /** The network came back, or the page is seen again. */
  wake(): void {
    for (const waker of [...this.wakers]) waker();
  }

  /** The page is closed or reloaded: from now on nothing of it happens any more. */
  kill(): void {
    this.clock.isGone = true;
    this.browser.locks.release(this.clock);
  }

  private refresh(): Promise<string> {
    const { network, actor } = this.browser;
    return new Promise((resolve, reject) => {
      const fails = network.random.chance(network.weather.drop * 2);
      this.clock.after(network.delayMs(), () => {
        if (fails) reject(new TypeError("fetch failed"));
        else resolve(network.server.mint(actor, TOKEN_MS));
      });
    });
  }
}
