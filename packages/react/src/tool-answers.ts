import type { UIMessage } from "ai";

/** What came of a tool that the user's side has run. */
export interface ToolOutput {
  readonly toolCallId: string;
  readonly state?: "output-available" | "output-error";
  readonly output?: unknown;
  readonly errorText?: string;
}

/** What the user said to a tool that asked. */
export interface ToolApproval {
  readonly id: string;
  readonly approved: boolean;
  readonly reason?: string;
}

interface ToolPart {
  readonly toolCallId?: unknown;
  readonly state?: unknown;
  readonly approval?: { readonly id?: unknown };
}

/** Tool calls that wait for the user's side. */
const WAITING: ReadonlySet<unknown> = new Set(["input-streaming", "input-available", "approval-responded"]);

/**
 * What the user's side has to say to tool calls, as long as it is not in the log: it is written into the parts that wait
 * for it, also while the rest of the message is still coming in.
 */
export class ToolAnswers<Message extends UIMessage> {
  private readonly outputs = new Map<string, ToolOutput>();
  private readonly approvals = new Map<string, ToolApproval>();
  /** Messages with what was said written in, so that each stays the same object until it changes. */
  private written = new WeakMap<Message, Message>();

  addOutput(output: ToolOutput): void {
    this.outputs.set(output.toolCallId, output);
    this.written = new WeakMap();
  }

  addApproval(approval: ToolApproval): void {
    this.approvals.set(approval.id, approval);
    this.written = new WeakMap();
  }

  writtenInto(messages: readonly Message[]): Message[] {
    if (this.outputs.size + this.approvals.size === 0) return [...messages];
    return messages.map((message) => {
      const known = this.written.get(message);
      if (known !== undefined) return known;
      const parts = message.parts.map((part) => this.answered(part as ToolPart) as typeof part);
      const isSame = parts.every((part, index) => part === message.parts[index]);
      const answered = isSame ? message : { ...message, parts };
      this.written.set(message, answered);
      return answered;
    });
  }

  private answered(part: ToolPart): object {
    const approval =
      part.state === "approval-requested" ? this.approvals.get(String(part.approval?.id)) : undefined;
    if (approval !== undefined)
      return { ...part, state: "approval-responded", approval: { ...part.approval, ...approval } };
    const output = WAITING.has(part.state) ? this.outputs.get(String(part.toolCallId)) : undefined;
    if (output === undefined) return part;
    const { state = "output-available", output: value, errorText } = output;
    return state === "output-error" ? { ...part, state, errorText } : { ...part, state, output: value };
  }
}
