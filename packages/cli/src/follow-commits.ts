import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { agentPath, type AgentTarget, DEPTH, queryOf } from "./agent-calls.js";
import { CommandFailure, Interrupted, ServerRefusal, ServerUnreachable } from "./failures.js";
import type { Clock } from "./io.js";
import { isWorthAnotherTry, retryDelayMs } from "./retry-policy.js";
import { PATIENCE_MS, type ServerClient } from "./server-client.js";

/** A committed transaction of an agent, as the server shows it. */
export interface ReceivedCommit {
  /** The line itself. */
  readonly text: string;
  readonly txn_id: string;
  readonly commit_ts: number;
  readonly committed_at: string;
  readonly actor: string;
  readonly operations: readonly {
    readonly key: string;
    readonly version: number;
    readonly value?: RawJson;
  }[];
}

const COMMIT = {
  members: {
    txn_id: "value",
    commit_ts: "value",
    committed_at: "value",
    actor: "value",
    operations: { items: { members: { key: "value", version: "value", value: "raw" } } },
  },
} as const;

export interface CommitRange {
  readonly target: AgentTarget;
  /** Commits after this one … */
  readonly after: number;
  /** … up to and with this one; `"follow"`: and those to come. */
  readonly through: number | "follow";
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly say: (message: string) => void;
}

/**
 * An agent's commits in order, each once. When the connection breaks it goes on behind the last one: for ever once it
 * has heard from the server, if it follows, and for a little while otherwise.
 * @throws CommandFailure when the server refuses or the token ends, Interrupted when the signal fires
 */
export async function* readCommits(client: ServerClient, range: CommitRange): AsyncGenerator<ReceivedCommit> {
  const { clock, signal, say } = range;
  let { after } = range;
  let failures = 0;
  let troubleMs = clock.now();
  let hasHeard = false;
  for (;;) {
    try {
      for await (const commit of commitsAfter(client, range, after)) {
        if (commit.commit_ts <= after)
          throw new CommandFailure(`after commit ${after} came commit ${commit.commit_ts}`);
        after = commit.commit_ts;
        [failures, hasHeard] = [0, true];
        yield commit;
      }
      if (range.through !== "follow") return;
      throw new ServerUnreachable("the server closed the connection");
    } catch (error) {
      if (!(error instanceof ServerUnreachable) && !isOverload(error)) throw error;
      const now = clock.now();
      if (failures++ === 0) {
        troubleMs = now;
        say(`${error.message}; going on behind commit ${after} when it is back`);
      }
      const delayMs = retryDelayMs(failures, clock.random());
      const isPatient = hasHeard && range.through === "follow";
      if (!isPatient && now + delayMs - troubleMs > PATIENCE_MS) throw error;
      await clock.sleep(delayMs, signal).catch(() => undefined);
      if (signal.aborted) throw new Interrupted();
    }
  }
}

function isOverload(error: unknown): error is ServerRefusal {
  return error instanceof ServerRefusal && isWorthAnotherTry(error.status, error.code, true);
}

async function* commitsAfter(
  client: ServerClient,
  { target, through, signal }: CommitRange,
  after: number,
): AsyncGenerator<ReceivedCommit> {
  if (through === "follow") {
    yield* sentEvents(client.lines(agentPath(target, `/tail${queryOf({ cursor: after })}`), signal));
    return;
  }
  if (after >= through) return;
  const bounds = queryOf({ start_ts: after + 1, end_ts: through });
  for await (const line of client.lines(agentPath(target, `/replay${bounds}`), signal))
    yield readCommit(line);
}

/** Server-sent events, one line of data each. */
async function* sentEvents(lines: AsyncIterable<string>): AsyncGenerator<ReceivedCommit> {
  let event = "";
  for await (const line of lines) {
    if (line.startsWith("event: ")) event = line.slice("event: ".length);
    else if (line.startsWith("data: ") && event === "") yield readCommit(line.slice("data: ".length));
    if (event === "token_expired" || event === "token_invalid")
      throw new ServerRefusal(event, 401, "the token is no longer valid");
  }
}

function readCommit(text: string): ReceivedCommit {
  return { ...(parseJson(text, COMMIT, DEPTH) as Omit<ReceivedCommit, "text">), text };
}
