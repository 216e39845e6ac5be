import type { AppendInput, Session } from "@daybook/client";
import { generateId, type UIMessage } from "ai";
import { messageInput, STOP_INPUT } from "./chat-inputs.js";
import type { ChatStore } from "./chat-store.js";
import type { ChatMethods } from "./chat-types.js";
import { newMessage, type NewMessage, requestMetadata, type RequestOptions } from "./new-message.js";
import type { ToolApproval, ToolOutput } from "./tool-answers.js";

/** What one can do in a chat, by the names of `useChat`. */
export class ChatActions<Message extends UIMessage> {
  constructor(private readonly store: ChatStore<Message>) {}

  /** As `useChat` has them, and as its types of whichever version say. */
  get methods(): ChatMethods<Message> {
    return {
      sendMessage: this.sendMessage,
      regenerate: this.regenerate,
      stop: this.stop,
      // There is nothing to resume: what is in the session is shown.
      resumeStream: () => Promise.resolve(),
      clearError: this.clearError,
      addToolOutput: this.addToolOutput,
      ["addToolResult" as string]: this.addToolOutput,
      addToolApprovalResponse: this.addToolApprovalResponse,
    } as unknown as ChatMethods<Message>;
  }

  readonly setMessages = (messages: Message[] | ((messages: Message[]) => Message[])): void =>
    this.store.setMessages(typeof messages === "function" ? messages(this.messages) : messages);

  readonly loadOlder = (): Promise<void> => this.store.loadOlder();

  /** Sends the last message again if all its tool calls are answered, and the app wants that. */
  async sendIfAutomatic(): Promise<void> {
    const { status, messages } = this.store.view.snapshot();
    if (status === "submitted" || status === "streaming") return;
    const { sendAutomaticallyWhen } = this.store.options();
    if ((await sendAutomaticallyWhen?.({ messages })) === true) await this.sendMessage();
  }

  private readonly sendMessage = async (message?: NewMessage, options?: RequestOptions): Promise<void> => {
    const { generateId: newId = generateId } = this.store.options();
    const last = this.messages.at(-1);
    if (message !== undefined) await this.send(await newMessage(message, this.messages, newId), options);
    else if (last !== undefined) await this.send(last, options);
  };

  private readonly regenerate = async ({
    messageId,
    ...options
  }: RequestOptions & { readonly messageId?: string } = {}): Promise<void> => {
    const { messages } = this;
    const index = messageId === undefined ? Infinity : messages.findIndex(({ id }) => id === messageId);
    const question = messages.slice(0, index + 1).findLast(({ role }) => role === "user");
    if (question === undefined)
      throw new Error(`There is no question that message ${messageId ?? "1"} could answer anew.`);
    await this.send(question, options);
  };

  private readonly stop = async (): Promise<void> => {
    if (!this.isBusy) return;
    const { session } = this;
    this.store.stopping();
    if (!(await this.append(session, [STOP_INPUT]))) this.store.stopping(false);
  };

  private readonly clearError = (): void => {
    const { session, unsent } = this.store;
    if (!this.store.clearError() || session === undefined) return;
    // What was refused is given up; else it would be in the way of what comes after it.
    session.discard();
    unsent.giveUpRefused(session.snapshot().pending);
    this.store.publish();
  };

  private readonly addToolOutput = async (output: ToolOutput): Promise<void> => {
    this.store.toolAnswers.addOutput(output);
    this.store.publish();
    await this.sendIfAutomatic();
  };

  private readonly addToolApprovalResponse = async (approval: ToolApproval): Promise<void> => {
    this.store.toolAnswers.addApproval(approval);
    this.store.publish();
    await this.sendIfAutomatic();
  };

  private get messages(): Message[] {
    return this.store.view.snapshot().messages;
  }

  private get isBusy(): boolean {
    const { status } = this.store.view.snapshot();
    return status === "submitted" || status === "streaming";
  }

  /** Asked for before anything is shown as if it were sent. */
  private get session(): Session {
    const { session } = this.store;
    if (session !== undefined) return session;
    throw new Error("There is no session yet: give useDaybookChat one before anything is sent.");
  }

  private async send(message: Message, options: RequestOptions = {}): Promise<void> {
    const { session } = this;
    const input = messageInput(message, requestMetadata(options));
    // An answer that is being written to what is now asked anew is of no use any more.
    const isAnew = this.isBusy && this.messages.some(({ id }) => id === message.id);
    this.store.unsent.add(message);
    this.store.publish();
    if (!(await this.append(session, isAnew ? [STOP_INPUT, input] : [input])))
      this.store.unsent.refused(message.id);
  }

  /** @returns whether it is committed; if not, why not is told */
  private async append(session: Session, inputs: readonly AppendInput[]): Promise<boolean> {
    try {
      await session.appendAll(inputs);
      return true;
    } catch (error) {
      this.store.failed(error);
      return false;
    }
  }
}
