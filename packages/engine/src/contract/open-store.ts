import type { Engine } from "../engine.js";

/** What each part of the contract is given: for every test a store of its own, open and empty. */
export interface OpenStore {
  /** The engine that is open now. */
  readonly engine: () => Engine;
  /** Undefined when the engine keeps nothing over a restart. */
  readonly reopened: () => Promise<Engine | undefined>;
  /** What the engine takes for the time. */
  readonly clock: { nowMs: number };
}
