import { backoffMs } from "./backoff.js";
import type { Connection, Connections, Message, TopicHolder } from "./connection.js";
import type { Environment } from "./environment.js";
import { asDaybookError, DaybookError, errorOfReason, isObject } from "./errors.js";
import type { TokenKeeper } from "./token-keeper.js";
import {
  NOT_STARTED,
  stepTopic,
  type TopicEffect,
  type TopicEvent,
  type TopicState,
} from "./topic-machine.js";

export interface TopicOptions {
  readonly name: string;
  readonly connections: Connections;
  readonly environment: Environment;
  readonly tokens: TokenKeeper;
  /** What a join says, asked anew each time. */
  readonly joinPayload: () => object;
  /** The join was answered; asked before it counts as joined. */
  readonly joined: (response: Record<string, unknown>) => void;
  /** A push came. */
  readonly received: (event: string, payload: unknown) => void;
  /** It will not be joined again by itself. */
  readonly ended: (error: DaybookError) => void;
  /** Its state, or that of the connection below, is another. */
  readonly changed: () => void;
  /** Asks the server about the token, in a way that tells a bad one from no network. @throws DaybookError */
  readonly probe: () => Promise<unknown>;
}

/** A topic that is joined, and joined again, for as long as it is held. */
export class Topic implements TopicHolder {
  private state: TopicState = NOT_STARTED;
  private connection: Connection | undefined;
  private joinRef = "";
  private joinToken: string | undefined;
  private tokenRef: string | undefined;
  private stopTimer: () => void = () => undefined;
  private isProbing = false;

  constructor(private readonly options: TopicOptions) {}

  get token(): string | undefined {
    return this.options.tokens.current;
  }

  get kind(): TopicState["kind"] {
    return this.state.kind;
  }

  get reason(): DaybookError | undefined {
    return this.state.reason;
  }

  /** It was tried and failed, and nothing has come since. */
  get isFailing(): boolean {
    return this.state.kind !== "joined" && (this.state.failures > 0 || this.connection?.isFailing === true);
  }

  start(): void {
    this.connection ??= this.options.connections.hold(this.options.name, this);
    this.step({ kind: "start" });
  }

  close(): void {
    this.step({ kind: "close" });
    this.release();
  }

  /** There is another token: the topic lives on with it. */
  tokenChanged(): void {
    if (this.state.kind !== "joined") return;
    this.joinToken = this.token;
    this.tokenRef = this.push("token", { token: this.joinToken });
  }

  /** What was received does not follow on what was received before: begin anew from there. */
  rejoin(): void {
    this.step({ kind: "kicked" });
  }

  up(): void {
    this.step({ kind: "up" });
  }

  down(): void {
    this.step({ kind: "down" });
  }

  changed(): void {
    this.options.changed();
  }

  suspectToken(): void {
    if (this.token === undefined || this.isProbing || this.state.kind !== "down") return;
    const { token } = this;
    this.isProbing = true;
    this.options
      .probe()
      .catch((error: unknown) => {
        if (!asDaybookError(error).isAuth) return;
        this.joinToken = token;
        this.step({ kind: "token_expired" });
      })
      .finally(() => (this.isProbing = false));
  }

  received({ joinRef, ref, event, payload }: Message): void {
    // What was meant for a join before this one comes too late.
    if (joinRef !== this.joinRef) return;
    switch (event) {
      case "phx_reply":
        this.replied(ref, isObject(payload) ? payload : {});
        break;
      case "phx_error":
        this.step({ kind: "kicked" });
        break;
      case "phx_close":
        this.step({
          kind: "shut",
          error: new DaybookError("session_not_found", "The session was deleted.", { status: 404 }),
        });
        break;
      case "token_expired":
        this.step({ kind: "token_expired" });
        break;
      default:
        if (this.state.kind !== "joined") return;
        this.step({ kind: "received" });
        this.options.received(event, payload);
    }
  }

  private replied(ref: string | null, { status, response }: Record<string, unknown>): void {
    const answer = isObject(response) ? response : {};
    if (ref === this.tokenRef && status !== "ok") {
      // The topic goes on with the old token until that ends; the join then says what is wrong with the new one.
      this.tokenRef = undefined;
      return;
    }
    if (ref !== this.joinRef || this.state.kind !== "joining") return;
    if (status === "ok") {
      this.options.joined(answer);
      this.step({ kind: "joined" });
    } else this.step({ kind: "refused", error: errorOfReason(answer.reason) });
  }

  private step(event: TopicEvent): void {
    const { random } = this.options.environment;
    const before = this.state;
    const { state, effects } = stepTopic(before, event, (failures) => backoffMs(failures, random()));
    this.state = state;
    for (const effect of effects) this.run(effect);
    if (state.kind === before.kind) return;
    if (state.kind === "ended") this.release();
    this.options.changed();
    if (state.kind === "ended" && state.reason !== undefined) this.options.ended(state.reason);
  }

  /** Its token may be bad: no connection shall be opened with it. */
  private release(): void {
    const { connection } = this;
    this.connection = undefined;
    connection?.release(this.options.name);
    this.step({ kind: "down" });
  }

  private run(effect: TopicEffect): void {
    switch (effect.kind) {
      case "join":
        this.join();
        break;
      case "leave":
        this.push("phx_leave", {});
        break;
      case "refresh":
        this.options.tokens.refresh(this.joinToken).then(
          () => this.step({ kind: "token" }),
          (error: unknown) => this.step({ kind: "no_token", error: asDaybookError(error) }),
        );
        break;
      case "timer":
        this.stopTimer();
        this.stopTimer = this.options.environment.clock.after(effect.ms, () => this.step({ kind: "timer" }));
        break;
      case "stop_timer":
        this.stopTimer();
    }
  }

  private join(): void {
    const { connection } = this;
    if (connection === undefined) return;
    this.joinRef = connection.newRef();
    this.joinToken = this.token;
    const token = this.joinToken === undefined ? {} : { token: this.joinToken };
    connection.send(this.options.name, {
      joinRef: this.joinRef,
      ref: this.joinRef,
      event: "phx_join",
      payload: { ...this.options.joinPayload(), ...token },
    });
  }

  private push(event: string, payload: object): string {
    const ref = this.connection?.newRef() ?? "";
    this.connection?.send(this.options.name, { joinRef: this.joinRef, ref, event, payload });
    return ref;
  }
}
