import type { Connections } from "./connection.js";
import { Emitter } from "./emitter.js";
import type { Environment } from "./environment.js";
import { type DaybookError, isObject } from "./errors.js";
import type { TokenKeeper } from "./token-keeper.js";
import { Topic } from "./topic.js";
import type { LifecycleEvent } from "./wire.js";

/** What a client tells about sessions as a whole. */
export type LifecycleEvents = Readonly<Record<LifecycleEvent["kind"], LifecycleEvent>> & {
  /** The feed ended, or a listener could not be served: most likely the API key may not follow it. */
  readonly error: DaybookError;
};

/** What happens to the tenant's sessions, from the first listener on, over lost connections too. */
export class Lifecycle {
  private readonly emitter = new Emitter<LifecycleEvents>();
  private readonly topic: Topic;
  private cursor: string | undefined;

  constructor(options: {
    readonly connections: Connections;
    readonly environment: Environment;
    readonly tokens: TokenKeeper;
    readonly probe: () => Promise<unknown>;
  }) {
    this.topic = new Topic({
      ...options,
      name: "lifecycle",
      joinPayload: () => (this.cursor === undefined ? {} : { cursor: this.cursor }),
      joined: ({ cursor }) => this.moveTo(cursor),
      received: (event, payload) => {
        if (event === "lifecycle" && isObject(payload) && isObject(payload.event))
          this.received(payload.event);
      },
      changed: () => undefined,
      ended: (error) => this.emitter.emit("error", error),
    });
  }

  on<Name extends keyof LifecycleEvents>(
    name: Name,
    listener: (value: LifecycleEvents[Name]) => void,
  ): () => void {
    const stop = this.emitter.on(name, listener);
    if (this.topic.kind === "idle" || this.topic.kind === "ended") this.topic.start();
    return stop;
  }

  close(): void {
    this.topic.close();
  }

  private received(event: Record<string, unknown>): void {
    this.moveTo(event.cursor);
    this.emitter.emit(event.kind as LifecycleEvent["kind"], event as unknown as LifecycleEvent);
  }

  private moveTo(cursor: unknown): void {
    if (typeof cursor === "string") this.cursor = cursor;
  }
}
