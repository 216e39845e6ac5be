import type { Command } from "commander";
import type { Context } from "./context.js";
import { onOneLine } from "./event-text.js";
import { Interrupted, ServerRefusal } from "./failures.js";
import { paintFor } from "./paint.js";
import { nameOf, nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { type ReceivedEvent, readEvent } from "./read-event.js";
import { readEvents } from "./read-events.js";
import { renderEvent } from "./render-event.js";
import type { ServerClient } from "./server-client.js";
import { getRecord } from "./session-calls.js";
import { untilSignal } from "./until-signal.js";

interface TailOptions {
  readonly cursor: number;
  readonly agent?: string;
  readonly limit?: number;
  readonly follow: boolean;
}

const HELP = `
Shows what is there after the cursor, then what comes, without a gap or a repetition. When the
connection breaks it goes on from where it was. Ends with Ctrl-C, after --limit events, or when
the session is deleted or the token expires (exit code 3).

Each event is a line, [actor] text; without a text in the payload it is the type and the payload.
--json prints each event exactly as it is stored.

Examples:
  daybook tail ses_demo
  daybook tail ses_demo --agent drafter --cursor 120
  daybook tail ses_demo --no-follow --json | jq .payload
  daybook tail ses_demo --limit 1 --json        # wait for the first event`;

export function addTailCommand(program: Command, context: Context): void {
  context
    .command(program, "tail")
    .summary("show a session's events and follow it")
    .description("Show a session's events from a cursor on, and follow it live.")
    .argument("<session>", "session id", nonEmpty)
    .option("--cursor <seq>", "the last seq already seen; 0 is from the start", wholeNumberFrom(0), 0)
    .option("--agent <name>", "only what this agent did", nameOf("agent"))
    .option("--limit <n>", "stop after this many events", wholeNumberFrom(1))
    .option("--no-follow", "stop at what is there now")
    .addHelpText("after", HELP)
    .action(async (session: string, options: TailOptions, command: Command) => {
      const client = await context.client(command);
      await untilSignal(context, async (signal) => {
        const events = eventsOf(context, client, { session, options, signal });
        await show(context, events, { json: context.wantsJson(command), limit: options.limit });
      });
    });
}

interface TailJob {
  readonly session: string;
  readonly options: TailOptions;
  readonly signal: AbortSignal;
}

function eventsOf(context: Context, client: ServerClient, job: TailJob): AsyncGenerator<ReceivedEvent> {
  return job.options.follow ? followedEvents(context, client, job) : storedEvents(client, job);
}

async function* followedEvents(
  context: Context,
  client: ServerClient,
  { session, options, signal }: TailJob,
): AsyncGenerator<ReceivedEvent> {
  const { cursor, agent } = options;
  // Only this needs a WebSocket, which takes longer to load than most commands run.
  const { followSession } = await import("./follow-session.js");
  yield* followSession({
    connection: client.connection,
    request: agent === undefined ? { session, cursor } : { session, cursor, agent },
    clock: context.io.clock,
    signal,
    say: (message) => context.say(message),
  });
}

/** What is there now, read in pages: a filtered tail would not say when it has passed the end. */
async function* storedEvents(client: ServerClient, job: TailJob): AsyncGenerator<ReceivedEvent> {
  const { session, options } = job;
  const { last_seq: lastSeq } = JSON.parse(await getRecord(client, session)) as { last_seq: number };
  if (options.cursor > lastSeq) {
    throw new ServerRefusal(
      "invalid_cursor",
      400,
      `the cursor ${options.cursor} is beyond the last seq, ${lastSeq}`,
    );
  }
  const range = { session, cursor: options.cursor, lastSeq };
  for await (const text of readEvents(client, range)) {
    if (job.signal.aborted) throw new Interrupted();
    const event = readEvent(text);
    if (options.agent === undefined || event.actor === `agent:${options.agent}`) yield event;
  }
}

async function show(
  context: Context,
  events: AsyncIterable<ReceivedEvent>,
  how: { readonly json: boolean; readonly limit: number | undefined },
): Promise<void> {
  const paint = paintFor(context.io.stdout, context.io.env);
  let shown = 0;
  for await (const event of events) {
    await context.print(how.json ? onOneLine(event.text) : renderEvent(event, paint));
    if (++shown === how.limit) return;
  }
}
