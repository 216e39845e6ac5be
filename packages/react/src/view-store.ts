interface ViewSource<View> {
  /** What is shown before anything is read: on a server too. */
  readonly initial: View;
  /** What is to be seen now. */
  readonly current: () => View;
  /** The first subscriber is there; the last one is gone. It may begin again after that. */
  readonly start: () => void;
  readonly stop: () => void;
  /** Tells at most once in this time (ms). */
  readonly throttleMs: () => number | undefined;
}

/** A view as `useSyncExternalStore` wants it: the same object until something changes, alive while somebody looks. */
export class ViewStore<View> {
  private view: View;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly source: ViewSource<View>) {
    this.view = source.initial;
  }

  readonly initial = (): View => this.source.initial;

  readonly snapshot = (): View => this.view;

  readonly subscribe = (listener: () => void): (() => void) => {
    // Wrapped: the same function given twice is two listeners.
    const own = (): void => listener();
    this.listeners.add(own);
    if (this.listeners.size === 1) this.source.start();
    return () => {
      if (!this.listeners.delete(own) || this.listeners.size > 0) return;
      this.source.stop();
      this.cancel();
    };
  };

  publish(): void {
    this.cancel();
    this.view = this.source.current();
    for (const listener of [...this.listeners]) listener();
  }

  /** What comes in within one task is shown at once. */
  publishSoon(): void {
    this.timer ??= setTimeout(() => this.publish(), this.source.throttleMs() ?? 0);
  }

  private cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
