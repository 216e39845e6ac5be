import type { Listener, Store, StoredEvent } from "./store.js";

/** One subscription in the database for all followers of a session at this front. */
export class LiveFeeds {
  private readonly feeds = new Map<string, Feed>();

  constructor(private readonly store: Store) {}

  /** Resolves when nothing more can be missed. */
  async join(id: string, listener: Listener): Promise<() => void> {
    const feed = this.feeds.get(id) ?? this.open(id);
    feed.listeners.add(listener);
    const leave = (): void => {
      feed.listeners.delete(listener);
      if (feed.listeners.size > 0 || this.feeds.get(id) !== feed) return;
      this.feeds.delete(id);
      void feed.following.then((end) => end());
    };
    try {
      await feed.following;
    } catch (error) {
      this.feeds.delete(id);
      throw error;
    }
    return leave;
  }

  private open(id: string): Feed {
    const listeners = new Set<Listener>();
    const following = this.store.follow(id, {
      events: (events: readonly StoredEvent[]) => {
        for (const listener of listeners) listener.events(events);
      },
      lost: () => {
        for (const listener of listeners) listener.lost();
      },
    });
    const feed = { listeners, following };
    this.feeds.set(id, feed);
    return feed;
  }
}

interface Feed {
  readonly listeners: Set<Listener>;
  readonly following: Promise<() => void>;
}
