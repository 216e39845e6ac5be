import { DaybookError } from "@daybook/protocol";
import type { Authenticator } from "../auth/authenticator.js";
import type { Caller } from "../service/caller.js";
import { OK, type Reply, type Subscriber } from "./phoenix-socket.js";

/**
 * Who joins a topic: whom the join's own token names, else whom the socket's does.
 * @throws DaybookError unauthorized
 */
export async function topicCaller(
  authenticator: Authenticator,
  subscriber: Subscriber,
  token: unknown,
): Promise<Caller> {
  if (token === undefined) return authenticator.stillGood(subscriber.caller);
  return authenticator.authenticate(tokenText(token));
}

/** The token that a topic lives on: the topic ends with it, and a push may put a newer one in its place. */
export class TopicToken {
  private unwatch: () => void;
  private isStopped = false;

  constructor(
    private readonly authenticator: Authenticator,
    private current: Caller,
    private readonly subscriber: Subscriber,
    /** Called first: nothing may be sent once the token has ended. */
    private readonly onEnd: () => void,
  ) {
    this.unwatch = this.watch();
  }

  get caller(): Caller {
    return this.current;
  }

  /**
   * Takes another token of the same tenant. A bad one changes nothing.
   * @throws DaybookError unauthorized, forbidden and its kin
   */
  async replace(token: unknown, check: (caller: Caller) => void): Promise<Reply> {
    const caller = await this.authenticator.authenticate(tokenText(token));
    check(caller);
    if (caller.principal.tenant !== this.current.principal.tenant)
      throw new DaybookError("forbidden", "The token is for another tenant than the topic.");
    if (this.isStopped) return OK;
    this.unwatch();
    this.current = caller;
    this.unwatch = this.watch();
    return OK;
  }

  stop(): void {
    this.isStopped = true;
    this.unwatch();
  }

  private watch(): () => void {
    return this.authenticator.onEnd(this.current, (how) => {
      this.onEnd();
      if (how === "token_invalid") {
        this.subscriber.fail();
        return;
      }
      // Exactly this push makes clients fetch a new token.
      this.subscriber.push("token_expired", TOKEN_EXPIRED);
      this.subscriber.close();
    });
  }
}

const TOKEN_EXPIRED = Buffer.from('{"reason":"token_expired"}');

function tokenText(token: unknown): string {
  if (typeof token === "string") return token;
  throw new DaybookError("unauthorized", "token must be a string.");
}
