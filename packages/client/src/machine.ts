/** A state machine as a table of states × events. What stands nowhere in it changes nothing. */

interface Kinded {
  readonly kind: string;
}

export interface Step<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/** When so many tokens in a row were refused, so would be the next. */
export const FRESH_TOKENS_MAX = 3;

/** How long to wait after so many failures in a row. */
export type RetryMs = (failures: number) => number;

type OfKind<Union extends Kinded, Kind> = Union extends unknown
  ? Kind extends Union["kind"]
    ? Union
    : never
  : never;

export type Table<State extends Kinded, Event extends Kinded, Effect> = {
  readonly [S in State["kind"]]: {
    readonly [E in Event["kind"]]?: (
      state: State,
      event: OfKind<Event, E>,
      retryMs: RetryMs,
    ) => Step<State, Effect>;
  };
};

export function stepIn<State extends Kinded, Event extends Kinded, Effect>(
  table: Table<State, Event, Effect>,
  state: State,
  event: Event,
  retryMs: RetryMs,
): Step<State, Effect> {
  const row = table[state.kind as State["kind"]];
  const cell = row[event.kind as Event["kind"]] as
    ((state: State, event: Event, retryMs: RetryMs) => Step<State, Effect>) | undefined;
  return cell === undefined ? { state, effects: [] } : cell(state, event, retryMs);
}
