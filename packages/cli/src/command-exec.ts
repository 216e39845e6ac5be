import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { ActorTokens } from "./actor-tokens.js";
import type { Context } from "./context.js";
import { CommandFailure, Interrupted, messageOf } from "./failures.js";
import { EXIT } from "./exit-codes.js";
import { type EndSignal, exitCodeOfSignal } from "./io.js";
import { batchBody, Outbox, type Outgoing } from "./outbox.js";
import { actorFrom, nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { type Recorder, runRecorded } from "./run-recorded.js";
import type { Patience, ServerClient } from "./server-client.js";
import { append, type AppendTo, ensureSession, refuseUnlessRecordable } from "./session-calls.js";
import { isOpen } from "./write-output.js";

interface ExecOptions {
  readonly as?: string;
  readonly typePrefix: string;
  readonly patience: number;
}

const HELP = `
Events, in the order things happened:
  exec.started  {"command", "args", "cwd", "pid"}
  exec.output   {"stream": "stdout" or "stderr", "line"}, one for each line. A line over 64 KiB comes in
                pieces; all but the last have "continued": true.
  exec.exited   {"code", "signal", "duration_ms"}

Before the command runs, the server is asked whether it would take its events: if not, nothing is run (3).

The arguments are recorded: pass secrets in the environment, which is not.
With an API key and --as agent:… or user:…, the key is exchanged for session tokens of that actor,
renewed as long as the command runs.
The server may restart meanwhile: output waits here (8 MiB, then the command is held up), and
each line is recorded once. If the record stays incomplete, the command still runs to its end.

Exits as the command does (128 + n when signal n ended it). If the command succeeded and its
record is incomplete: 3 when the server refused, 4 when it did not answer.

Examples:
  daybook exec ci-42 -- npm test
  daybook exec ci-42 --as agent:builder -- sh -c 'make 2>&1 | tail -n 50'
  daybook exec nightly --type-prefix backup -- pg_dump shop >shop.sql`;

export function addExecCommand(program: Command, context: Context): void {
  context
    .command(program, "exec")
    .summary("run a command and record it, line by line")
    .description("Run a command; record its start, every line of output as it comes, and its exit.")
    .argument("<session>", "session id; created if missing", nonEmpty)
    .argument("<command...>", "after --: the command and its arguments")
    .option("--as <actor>", "who acts, like agent:builder (default: who the token says)", actorFrom)
    .option("--type-prefix <prefix>", "what event types begin with", nonEmpty, "exec")
    .option(
      "--patience <seconds>",
      "how long to keep trying when the server is away",
      wholeNumberFrom(0),
      300,
    )
    .addHelpText("after", HELP)
    .showHelpAfterError("(put -- before the command: daybook exec SESSION -- COMMAND …; --help says more)")
    .action(async (session: string, commandLine: string[], options: ExecOptions, command: Command) => {
      const client = await context.client(command);
      context.exitCode = await exec(context, client, { session, commandLine, options });
    });
}

interface Job {
  readonly session: string;
  readonly commandLine: readonly string[];
  readonly options: ExecOptions;
}

async function exec(context: Context, client: ServerClient, job: Job): Promise<number> {
  const { io } = context;
  const actor = new ActorTokens(client, io.clock, { session: job.session, actor: job.options.as });
  const producerId = `exec:${randomUUID()}`;
  const to = { client, session: job.session, actor };
  // Before the command starts: what cannot be recorded at all is better not run.
  await ensureSession(client, job.session);
  await actor.token();
  await refuseUnlessRecordable(to, eventOf(job.options, producerId, 1, "started", {}));
  const giveUp = new AbortController();
  const outbox = openOutbox(context, to, job, giveUp.signal);
  let interruptedBy: EndSignal | undefined;
  const interrupted = (signal: EndSignal): void => {
    interruptedBy = signal;
    giveUp.abort();
  };
  const [program = "", ...args] = job.commandLine;
  const exitCode = await runRecorded(
    program,
    args,
    recorderInto(outbox, job.options, producerId, interrupted),
    io,
  );
  const stopListening = io.onEndSignal(interrupted);
  try {
    await outbox.flushed();
    return exitCode;
  } catch (error) {
    if (exitCode !== EXIT.ok) return exitCode;
    if (interruptedBy !== undefined) return exitCodeOfSignal(interruptedBy);
    return error instanceof CommandFailure ? error.exitCode : EXIT.failed;
  } finally {
    stopListening();
  }
}

function openOutbox(context: Context, to: AppendTo, job: Job, signal: AbortSignal): Outbox<Outgoing> {
  const say = (text: string): void => {
    if (isOpen(context.io.stderr)) context.say(text);
  };
  const patience: Patience = {
    patienceMs: job.options.patience * 1000,
    signal,
    onTrouble: (why) => say(`${why}; keeping the output here and trying again`),
  };
  return new Outbox(async (batch) => {
    try {
      await append(to, batchBody(batch), patience);
    } catch (error) {
      const why = error instanceof Interrupted ? "interrupted" : messageOf(error);
      say(`the record in ${job.session} is incomplete from here on: ${why}`);
      throw error;
    }
  });
}

function eventOf(
  { typePrefix, as }: ExecOptions,
  producerId: string,
  producerSeq: number,
  kind: string,
  payload: Record<string, unknown>,
): Record<string, unknown> {
  return {
    type: `${typePrefix}.${kind}`,
    ...(as === undefined ? {} : { actor: as }),
    producer_id: producerId,
    producer_seq: producerSeq,
    payload,
  };
}

/** Numbers the events of one run; the pair is set once, so that every retry carries the same. */
function recorderInto(
  outbox: Outbox<Outgoing>,
  options: ExecOptions,
  producerId: string,
  interrupted: (signal: EndSignal) => void,
): Recorder {
  let producerSeq = 0;
  const add = (kind: string, payload: Record<string, unknown>): void =>
    outbox.add({ text: JSON.stringify(eventOf(options, producerId, ++producerSeq, kind, payload)) });
  return {
    started: (details) => add("started", details),
    output: (details) => add("output", details),
    exited: (details) => add("exited", details),
    room: () => outbox.room(),
    interrupted,
  };
}
