import type { ErrorDetails } from "@daybook/protocol/errors";
import type { Connection } from "./connection.js";
import { CommandFailure, Interrupted, ServerRefusal, ServerUnreachable } from "./failures.js";
import type { Clock } from "./io.js";
import { isWorthAnotherTry, retryAfterMs, retryDelayMs } from "./retry-policy.js";
import { readLines } from "./read-lines.js";
import { asFailure, ConnectionFailure, type HttpAnswer, HttpSender, readAnswer } from "./send-request.js";

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Begins with a slash; ids in it are already percent-encoded. */
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Another server than the one at the base URL. */
  readonly origin?: string;
  /** Another token than the client's own. */
  readonly token?: string;
  /** Doing it twice is the same as doing it once, so it may be sent again whatever became of the first. */
  readonly repeatable: boolean;
}

export interface Patience {
  /** How long to try on from the first failure. */
  readonly patienceMs: number;
  readonly signal?: AbortSignal;
  /** Told once per outage, when the first attempt failed. */
  readonly onTrouble?: (why: string) => void;
}

/** Long enough for a server that is just being started; a person still waits for the answer. */
export const PATIENCE_MS = 10_000;

/** A line holds a transaction of the largest size, in a spelling with escapes. */
const LINES = { bytesMax: 64 * 1024 * 1024, strictUtf8: true };

/** Calls one server, and tries again where that is safe and may help. */
export class ServerClient {
  private readonly sender = new HttpSender();

  constructor(
    readonly connection: Connection,
    private readonly clock: Clock,
    private readonly patience: Patience,
  ) {}

  /**
   * @returns the body of a 2xx answer.
   * @throws ServerRefusal, ServerUnreachable when patience ended, Interrupted when the signal fired.
   */
  async call(call: Call, patience: Patience = this.patience): Promise<string> {
    let firstFailureMs: number | undefined;
    for (let failures = 1; ; failures++) {
      const outcome = await this.attempt(call, patience.signal);
      if (outcome.kind === "answer") return outcome.text;
      if (!outcome.again) throw outcome.failure;
      const now = this.clock.now();
      if (firstFailureMs === undefined) {
        firstFailureMs = now;
        patience.onTrouble?.(outcome.failure.message);
      }
      const delayMs = Math.max(retryDelayMs(failures, this.clock.random()), outcome.notBeforeMs);
      if (now + delayMs - firstFailureMs > patience.patienceMs) throw outcome.failure;
      await this.sleep(delayMs, patience.signal);
    }
  }

  /**
   * The lines of an answer, as they come. Not tried again: only the reader knows where to go on.
   * @throws ServerRefusal; ServerUnreachable when it does not begin or breaks off; Interrupted when the signal fired
   */
  async *lines(path: string, signal?: AbortSignal): AsyncGenerator<string> {
    const { baseUrl, token } = this.connection;
    try {
      const response = await this.sender.open({
        ...{ method: "GET", url: baseUrl + path },
        headers: {
          ...headersWith(token),
          accept: "text/event-stream, application/x-ndjson, application/json",
        },
        ...(signal !== undefined && { signal }),
      });
      if (response.statusCode !== 200) throw refusalOf(await readAnswer(response));
      for await (const { text } of readLines(response, LINES)) yield text;
      if (!response.complete) throw new Error("the answer broke off");
    } catch (error) {
      if (signal?.aborted === true) throw new Interrupted();
      if (error instanceof CommandFailure) throw error;
      throw new ServerUnreachable(`${baseUrl} does not answer: ${asFailure(error as Error).message}`);
    }
  }

  close(): void {
    this.sender.close();
  }

  private async attempt(call: Call, signal: AbortSignal | undefined): Promise<Outcome> {
    try {
      const answer = await this.sender.send({
        method: call.method,
        url: (call.origin ?? this.connection.baseUrl) + call.path,
        headers: { ...call.headers, ...headersWith(call.token ?? this.connection.token) },
        ...(call.body === undefined ? {} : { body: call.body }),
        ...(signal === undefined ? {} : { signal }),
      });
      if (answer.status >= 200 && answer.status < 300) return { kind: "answer", text: answer.text };
      const failure = refusalOf(answer);
      return {
        kind: "failure",
        failure,
        again: isWorthAnotherTry(failure.status, failure.code, call.repeatable),
        notBeforeMs: retryAfterMs(answer.headers["retry-after"]),
      };
    } catch (error) {
      if (signal?.aborted === true) throw new Interrupted();
      if (!(error instanceof ConnectionFailure)) throw error;
      const where = call.origin ?? this.connection.baseUrl;
      const failure = new ServerUnreachable(`${where} does not answer: ${error.message}`);
      return { kind: "failure", failure, again: call.repeatable || !error.mayHaveArrived, notBeforeMs: 0 };
    }
  }

  private async sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.clock.sleep(ms, signal);
    } catch (error) {
      throw signal?.aborted === true ? new Interrupted() : error;
    }
  }
}

type Outcome =
  | { readonly kind: "answer"; readonly text: string }
  | {
      readonly kind: "failure";
      readonly failure: ServerRefusal | ServerUnreachable;
      readonly again: boolean;
      readonly notBeforeMs: number;
    };

function headersWith(token: string | undefined): Record<string, string> {
  const headers = { accept: "application/json", "user-agent": "daybook-cli" };
  return token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` };
}

const BODY_SHOWN_MAX = 200;

/** The server's error body; or, from something in between that is no Daybook, what little it said. */
export function refusalOf(answer: Pick<HttpAnswer, "status" | "text">): ServerRefusal {
  const body = parseObject(answer.text);
  const { error: code, message, ...details } = body ?? {};
  if (typeof code === "string" && typeof message === "string") {
    return new ServerRefusal(code, answer.status, message, details as ErrorDetails);
  }
  const shown = answer.text.replace(/\s+/g, " ").slice(0, BODY_SHOWN_MAX);
  return new ServerRefusal("unexpected_answer", answer.status, `not an answer of Daybook: ${shown}`);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not JSON, so not ours: the caller shows the text itself.
    return undefined;
  }
}
