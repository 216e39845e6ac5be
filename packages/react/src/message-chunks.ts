import type { UIMessage, UIMessageChunk } from "ai";

type Members = Readonly<Record<string, unknown>>;

/**
 * The chunks that a message could have been made by, without `start` and end: for a reader that knows nothing of it yet.
 * That somebody has agreed to a tool cannot be said by a chunk: the tool is shown as running.
 */
export function messageChunks({ parts, metadata }: UIMessage): UIMessageChunk[] {
  const chunks = parts.flatMap((part) => partChunks(part as unknown as Members & { readonly type: string }));
  if (metadata !== undefined) chunks.unshift({ type: "message-metadata", messageMetadata: metadata });
  // Each member that is undefined is none.
  return chunks.map((chunk) => withoutGaps(chunk) as unknown as UIMessageChunk);
}

function partChunks(part: Members & { readonly type: string }): Members[] {
  const { type, id = "base", text, providerMetadata } = part;
  switch (type) {
    case "text":
    case "reasoning":
      return [
        { type: `${type}-start`, id, providerMetadata },
        { type: `${type}-delta`, id, delta: text, providerMetadata },
        { type: `${type}-end`, id, providerMetadata },
      ];
    case "step-start":
      return [{ type: "start-step" }];
    default:
      // Data, files and sources are chunks and parts alike.
      return "toolCallId" in part ? toolChunks(part) : [part];
  }
}

function toolChunks(part: Members & { readonly type: string }): Members[] {
  const { toolCallId, state, input, rawInput, output, errorText, preliminary, approval } = part;
  const isDynamic = part.type === "dynamic-tool";
  const named = { toolCallId, ...(isDynamic && { dynamic: true }) };
  const of = {
    ...named,
    toolName: isDynamic ? part.toolName : part.type.slice("tool-".length),
    providerExecuted: part.providerExecuted,
    providerMetadata: part.callProviderMetadata,
    title: part.title,
  };
  const available = { type: "tool-input-available", ...of, input };
  switch (state) {
    case "input-streaming":
      return [{ type: "tool-input-start", ...of }];
    case "approval-requested":
      return [available, { type: "tool-approval-request", toolCallId, approvalId: (approval as Members).id }];
    case "output-available":
      return [available, { type: "tool-output-available", ...named, output, preliminary }];
    case "output-error":
      return input === undefined
        ? [{ type: "tool-input-error", ...of, input: rawInput, errorText }]
        : [available, { type: "tool-output-error", ...named, errorText }];
    case "output-denied":
      return [available, { type: "tool-output-denied", toolCallId }];
    default:
      return [available];
  }
}

function withoutGaps(members: Members): Members {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
