import type { Principal } from "@daybook/protocol";

/** Who makes a request. */
export interface Caller {
  readonly principal: Principal;
  /** Events may name any actor: auth is off, there is nothing to hold them to. */
  readonly anyActor: boolean;
}

/** With auth off, everybody on this machine is this service. */
export const OPEN_CALLER: Caller = {
  principal: { tenant: "default", type: "service", id: "default" },
  anyActor: true,
};
