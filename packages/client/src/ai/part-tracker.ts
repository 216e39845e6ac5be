import type { ChunkLike, MessageLike } from "./chat-envelope.js";

/** What a chunk does to the part it names, by `id` or `toolCallId`. */
interface PartRule {
  readonly part: "text" | "reasoning" | "tool" | "toolInput";
  readonly does: "begin" | "goOn" | "end";
  /** The member that holds what is added. */
  readonly text?: string;
}

const RULES: Readonly<Record<string, readonly PartRule[]>> = {
  "text-start": [{ part: "text", does: "begin" }],
  "text-delta": [{ part: "text", does: "goOn", text: "delta" }],
  "text-end": [{ part: "text", does: "end" }],
  "reasoning-start": [{ part: "reasoning", does: "begin" }],
  "reasoning-delta": [{ part: "reasoning", does: "goOn", text: "delta" }],
  "reasoning-end": [{ part: "reasoning", does: "end" }],
  "tool-input-start": [
    { part: "tool", does: "begin" },
    { part: "toolInput", does: "begin" },
  ],
  "tool-input-delta": [{ part: "toolInput", does: "goOn", text: "inputTextDelta" }],
  "tool-input-available": [{ part: "tool", does: "begin" }],
  "tool-input-error": [{ part: "tool", does: "begin" }],
};

/** Results, approvals and whatever comes to be: each names the call it belongs to. */
const OF_A_TOOL: readonly PartRule[] = [{ part: "tool", does: "goOn" }];

/**
 * Knows which parts of a message have begun. The AI SDK's readers give up on an answer at the first chunk that belongs to
 * no part; in a log such a chunk stays for ever, so it is passed over instead, and what follows can still be read.
 */
export class PartTracker {
  private readonly begun = {
    text: new Set<unknown>(),
    reasoning: new Set<unknown>(),
    tool: new Set<unknown>(),
    toolInput: new Set<unknown>(),
  };

  /** @param base the message as it was before its first answer */
  constructor({ parts }: Pick<MessageLike, "parts">) {
    for (const part of parts)
      if (typeof part === "object" && part !== null && "toolCallId" in part)
        this.begun.tool.add(part.toolCallId);
  }

  /** Another answer goes on with the message: it may say what became of tool calls, and begins all else anew. */
  begin(): void {
    for (const part of ["text", "reasoning", "toolInput"] as const) this.begun[part].clear();
  }

  /** Whether the chunk can be read after those before it. */
  admits(chunk: ChunkLike): boolean {
    // The readers close what a step has left open.
    if (chunk.type === "finish-step")
      for (const part of ["text", "reasoning"] as const) this.begun[part].clear();
    const rules = Object.hasOwn(RULES, chunk.type) ? RULES[chunk.type] : undefined;
    const members = chunk as unknown as Readonly<Record<string, unknown>>;
    const applied = rules ?? ("toolCallId" in chunk ? OF_A_TOOL : []);
    return applied.every((rule) => this.apply(rule, members));
  }

  private apply({ part, does, text }: PartRule, chunk: Readonly<Record<string, unknown>>): boolean {
    const id = chunk.id ?? chunk.toolCallId;
    const begun = this.begun[part];
    if (typeof id !== "string" || (text !== undefined && typeof chunk[text] !== "string")) return false;
    if (does === "begin") begun.add(id);
    return does === "end" ? begun.delete(id) : begun.has(id);
  }
}
