import type { Command } from "commander";
import { ChatPrompt } from "./chat-prompt.js";
import type { Context } from "./context.js";
import {
  getConversation,
  newestMessages,
  openConversation,
  type ReceivedMessage,
  say,
} from "./conversation-calls.js";
import { onOneLine } from "./event-text.js";
import { Interrupted } from "./failures.js";
import { exitCodeOfSignal } from "./io.js";
import { paintFor } from "./paint.js";
import { nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { paintName } from "./render-event.js";
import { renderMessage } from "./render-message.js";
import type { ServerClient } from "./server-client.js";

interface ChatOptions {
  readonly limit: number;
  readonly follow: boolean;
}

const HELP = `
Shows the newest messages, then those that come, without a gap or a repetition. On a terminal one can write: each
line becomes a message of the role user, and a conversation that is not there is created. Ends with Ctrl-C or Ctrl-D.

--json prints each message as the server shows it, and takes no input.

Examples:
  daybook chat support-42
  daybook chat support-42 --no-follow --limit 10
  daybook chat support-42 --json | jq -r .role`;

export function addChatCommand(program: Command, context: Context): void {
  context
    .command(program, "chat")
    .summary("read a session as a conversation, and write into it")
    .description("Show a session's messages, follow them, and, on a terminal, write into it.")
    .argument("<conversation>", "its id: that of the session", nonEmpty)
    .option("--limit <n>", "how many of the newest messages to begin with", wholeNumberFrom(0), 50)
    .option("--no-follow", "stop at what is there now")
    .addHelpText("after", HELP)
    .action(async (id: string, options: ChatOptions, command: Command) => {
      const client = await context.client(command);
      await new Chat(context, client, { id, options, json: context.wantsJson(command) }).run();
    });
}

interface ChatJob {
  readonly id: string;
  readonly options: ChatOptions;
  readonly json: boolean;
}

class Chat {
  private readonly abort = new AbortController();
  private exitCode: number | undefined;
  private failure: Error | undefined;
  private prompt: ChatPrompt | undefined;
  /** What was written here is on the screen already. */
  private readonly own = new Set<number>();
  /** Settles when the server has answered what was written last. */
  private saying: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: Context,
    private readonly client: ServerClient,
    private readonly job: ChatJob,
  ) {}

  async run(): Promise<void> {
    const { id, options } = this.job;
    const conversation = this.mayWrite
      ? await openConversation(this.client, id)
      : await getConversation(this.client, id);
    const messages = options.limit === 0 ? [] : await newestMessages(this.client, id, options.limit);
    for (const message of messages) await this.show(message);
    if (conversation.tombstoned)
      this.context.say("the conversation is tombstoned: it takes no more messages");
    if (!options.follow) return;
    const cursor = Math.max(conversation.version, messages.at(-1)?.seq ?? 0);
    await this.follow(cursor, this.mayWrite && !conversation.tombstoned);
  }

  /** Only where somebody sits at both ends. */
  private get mayWrite(): boolean {
    const { stdin, stdout } = this.context.io;
    return stdin.isTTY === true && stdout.isTTY === true && this.job.options.follow && !this.job.json;
  }

  private async follow(cursor: number, mayWrite: boolean): Promise<void> {
    const { context, client, abort, job } = this;
    const stopListening = context.io.onEndSignal((signal) => {
      this.end(exitCodeOfSignal(signal));
      // A second one ends the process at once, even while a pager does not take what we write.
      stopListening();
    });
    if (mayWrite) this.openPrompt();
    try {
      const { followConversation } = await import("./follow-conversation.js");
      const messages = followConversation(client, {
        connection: client.connection,
        request: { session: job.id, cursor },
        clock: context.io.clock,
        signal: abort.signal,
        say: (message) => void this.besides(() => context.say(message)),
      });
      for await (const message of messages) {
        await this.saying;
        if (!this.own.delete(message.seq)) await this.besides(() => this.show(message));
      }
    } catch (error) {
      if (this.failure !== undefined) throw this.failure;
      if (this.exitCode === undefined) throw error;
      if (this.exitCode !== 0) throw new Interrupted("", this.exitCode);
    } finally {
      stopListening();
      this.prompt?.close();
    }
  }

  private openPrompt(): void {
    const { io } = this.context;
    const prompt = `${paintName("user:", "user", paintFor(io.stdout, io.env))} `;
    this.prompt = new ChatPrompt(io, prompt, {
      line: (text) => this.write(text),
      end: () => this.end(0),
      interrupt: () => this.end(exitCodeOfSignal("SIGINT")),
    });
    this.prompt.show();
  }

  private write(text: string): Promise<void> {
    if (text.trim() === "") return Promise.resolve();
    // In the order they were entered, also by somebody who pastes many lines.
    this.saying = this.saying.then(async () => {
      try {
        this.own.add(await say(this.client, this.job.id, text));
      } catch (error) {
        this.failure ??= error as Error;
        this.abort.abort();
      }
    });
    return this.saying;
  }

  private end(exitCode: number): void {
    this.exitCode ??= exitCode;
    // What was entered is still sent.
    void this.saying.then(() => this.abort.abort());
  }

  /** Says something above the line that is being written. */
  private async besides(output: () => Promise<void> | void): Promise<void> {
    this.prompt?.hide();
    await output();
    this.prompt?.show();
  }

  private show(message: ReceivedMessage): Promise<void> {
    const { io } = this.context;
    const paint = paintFor(io.stdout, io.env);
    return this.context.print(this.job.json ? onOneLine(message.text) : renderMessage(message, paint));
  }
}
