import { asDaybookError, DaybookError } from "./errors.js";
import type { Http } from "./http.js";
import type { AgentCommit } from "./state-wire.js";

/** So often in a row a replay is taken up again before it fails. */
const TRIES_MAX = 4;

export interface CommitSource {
  /** Commits after this one, as long as a connection holds. */
  readonly open: (after: number) => AsyncGenerator<AgentCommit, void, undefined>;
  /** Where it goes on when it ends: nowhere, or with what comes. */
  readonly isLive: boolean;
}

/** Commits in their order, each once, over broken connections. */
export async function* readCommits(
  http: Http,
  { open, isLive }: CommitSource,
  { cursor, signal }: { cursor: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<AgentCommit, void, undefined> {
  for (let failures = 0; !isAborted(signal);) {
    let retryAfterMs = 0;
    try {
      for await (const commit of open(cursor)) {
        cursor = commit.commit_ts;
        failures = 0;
        yield commit;
      }
      if (!isLive) return;
      failures++;
    } catch (error) {
      const failure = asDaybookError(error);
      if (isAborted(signal)) return;
      if (!failure.retryable || (++failures === TRIES_MAX && !isLive)) throw failure;
      retryAfterMs = failure.retryAfterMs ?? 0;
    }
    await http.pause(failures, retryAfterMs, signal);
  }
}

/** It changes while somebody waits, which a plain look at it in a loop does not tell the compiler. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Each line a commit. */
export async function* commitsOfLines(
  lines: AsyncIterable<string>,
): AsyncGenerator<AgentCommit, void, undefined> {
  for await (const line of lines) if (line !== "") yield JSON.parse(line) as AgentCommit;
}

/**
 * Commits as server-sent events:
 *
 *     id: 7                            event: token_expired
 *     data: {"commit_ts":7, …}         data: {}
 */
export async function* commitsOfEvents(
  lines: AsyncIterable<string>,
): AsyncGenerator<AgentCommit, void, undefined> {
  for await (const line of lines) {
    if (line.startsWith("event: ")) throw endOf(line.slice("event: ".length));
    if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length)) as AgentCommit;
  }
}

/** Only an end has a name. */
function endOf(name: string): DaybookError {
  return name.startsWith("token_")
    ? new DaybookError("unauthorized", `The server ended the tail: ${name}.`, { status: 401 })
    : new DaybookError("invalid_answer", `The server sent an unknown event: ${name}.`);
}
