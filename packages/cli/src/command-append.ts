import { randomUUID } from "node:crypto";
import { Option, type Command } from "commander";
import { appendFromStdin } from "./append-from-stdin.js";
import type { Context } from "./context.js";
import { withProducer, writeObject } from "./event-text.js";
import { UsageFailure } from "./failures.js";
import { jsonObject, nameOf, nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { ActorTokens, apiKeyClaims } from "./actor-tokens.js";
import { append, type AppendTo } from "./session-calls.js";

export interface AppendOptions {
  readonly agent?: string;
  readonly user?: string;
  /** True: a bare --text beside --stdin. */
  readonly text?: string | true;
  readonly payload?: string;
  readonly type: string;
  readonly source?: string;
  readonly metadata?: string;
  readonly refs?: string;
  readonly idempotencyKey?: string;
  readonly expectedSeq?: number;
  readonly stdin?: true;
  readonly producerId?: string;
  readonly fromLine?: number;
}

/** Who acts when nobody is named: what the CLI this one replaces says, and what its users' filters look for. */
const DEFAULT_ACTOR = "agent:starcite-cli";

/** The type of an event when none is named. */
const DEFAULT_TYPE = "chat.message";

const HELP = `
Prints seq=N deduped=false: the event's place in the session. It is on the server's disk by then.
With an API key it is written as --agent or --user says: the key is exchanged for a session token of theirs.
With a session token it is written as whom the token says.
If the answer is lost on the way the event is sent again, and the server takes it once.

With --stdin, one event for each line, sent in batches. A line is a JSON object,
{"type": "note", "payload": {…}}, and options are what it does not say itself; with a bare --text
a line is plain text and becomes {"text": LINE}. If it stops half-way it says at which line, and
how to go on from there; nothing is written twice.

Examples:
  daybook append ses_demo --text "Drafting clause 4.2…" --agent drafter
  daybook append ses_demo --type tool.result --payload '{"ok": true}' --expected-seq 7
  jq -c '{type: "row", payload: .}' rows.json | daybook append ses_demo --stdin
  tail -F app.log | daybook append logs --stdin --text --agent app`;

/** @param args the command line: beside --stdin, --text takes no value. */
export function addAppendCommand(program: Command, context: Context, args: readonly string[]): void {
  const isFromStdin = args.includes("--stdin");
  context
    .command(program, "append")
    .summary("append an event, or one for each line of input")
    .description("Append to a session; create it if it is missing.")
    .argument("<session>", "session id", nonEmpty)
    .option("--agent <name>", `the agent that acts (default actor: ${DEFAULT_ACTOR})`, nameOf("agent"))
    .addOption(new Option("--user <name>", "the user who acts").argParser(nameOf("user")).conflicts("agent"))
    .option(isFromStdin ? "--text" : "--text <text>", 'payload {"text": …}')
    .addOption(
      new Option("--payload <json>", "payload, a JSON object").argParser(jsonObject).conflicts("text"),
    )
    .option("--type <type>", "event type", nonEmpty, DEFAULT_TYPE)
    .option("--source <source>", "where it comes from", nonEmpty)
    .option("--metadata <json>", "a JSON object to keep beside the payload", jsonObject)
    .option("--refs <json>", "a JSON object: to_seq, step, request_id, sequence_id", jsonObject)
    .option("--idempotency-key <key>", "kept with the event")
    .option("--expected-seq <seq>", "refuse unless this is the last seq", wholeNumberFrom(0))
    .option("--stdin", "an event for each line of standard input")
    .option(
      "--producer-id <id>",
      "with --stdin: number the events in this name (default: a new one)",
      nonEmpty,
    )
    .option("--from-line <n>", "with --stdin: skip the lines before this one", wholeNumberFrom(1))
    .addHelpText("after", HELP)
    .action(async (session: string, options: AppendOptions, command: Command) => {
      checkCombination(options);
      const client = await context.client(command);
      const json = context.wantsJson(command);
      const name = actorOf(options, client.connection.token);
      const actor = new ActorTokens(client, context.io.clock, { session, actor: name });
      const to = { client, session, actor };
      const members = membersOf(options, name);
      if (options.stdin === undefined) return appendOne(context, to, { options, members, json });
      await appendFromStdin(context, to, {
        json,
        members,
        isPlainText: options.text === true,
        producerId: options.producerId ?? `cli:${randomUUID()}`,
        fromLine: options.fromLine ?? 1,
      });
    });
}

function checkCombination(options: AppendOptions): void {
  const isOne = options.stdin === undefined;
  const hasContent = options.text !== undefined || options.payload !== undefined;
  if (isOne && !hasContent)
    throw new UsageFailure("say what to append: --text \"…\", --payload '{…}' or --stdin");
  if (isOne && (options.producerId !== undefined || options.fromLine !== undefined)) {
    throw new UsageFailure("--producer-id and --from-line go with --stdin");
  }
  if (isOne) return;
  const single = (["payload", "idempotencyKey", "expectedSeq"] as const).filter(
    (name) => options[name] !== undefined,
  );
  if (single.length > 0) {
    throw new UsageFailure(
      "--payload, --idempotency-key and --expected-seq are about one event, not --stdin",
    );
  }
}

/** What the options say about an event, but for its payload. */
function membersOf(options: AppendOptions, actor: string | undefined): Map<string, string> {
  const members = new Map([["type", JSON.stringify(options.type)]]);
  if (actor !== undefined) members.set("actor", JSON.stringify(actor));
  if (options.source !== undefined) members.set("source", JSON.stringify(options.source));
  if (options.metadata !== undefined) members.set("metadata", options.metadata);
  if (options.refs !== undefined) members.set("refs", options.refs);
  if (options.idempotencyKey !== undefined) {
    members.set("idempotency_key", JSON.stringify(options.idempotencyKey));
  }
  return members;
}

/** Undefined: whoever the token speaks for. A token that is no API key is one principal's, and cannot be another's. */
function actorOf(options: AppendOptions, token: string | undefined): string | undefined {
  if (options.agent !== undefined) return `agent:${options.agent}`;
  if (options.user !== undefined) return `user:${options.user}`;
  const isPrincipals = token !== undefined && apiKeyClaims(token) === undefined;
  return isPrincipals ? undefined : DEFAULT_ACTOR;
}

interface OneAppend {
  readonly options: AppendOptions;
  readonly members: ReadonlyMap<string, string>;
  readonly json: boolean;
}

async function appendOne(context: Context, to: AppendTo, job: OneAppend): Promise<void> {
  const { options } = job;
  const payload = options.payload ?? JSON.stringify({ text: options.text });
  const event = withProducer(new Map([...job.members, ["payload", payload]]), `cli:${randomUUID()}`, 1);
  if (options.expectedSeq !== undefined) event.set("expected_seq", String(options.expectedSeq));
  const answer = await append(to, writeObject(event));
  if (job.json) return context.print(answer);
  const { seq, deduped } = JSON.parse(answer) as { seq: number; deduped: boolean };
  await context.print(`seq=${seq} deduped=${deduped}`);
}
