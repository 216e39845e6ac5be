import type { ChunkLike } from "./chat-envelope.js";

/** Deltas of the same part, one after the other, say the same as one: which member is joined, and which names the part. */
const DELTAS: Readonly<Record<string, { readonly part: string; readonly delta: string }>> = {
  "text-delta": { part: "id", delta: "delta" },
  "reasoning-delta": { part: "id", delta: "delta" },
  "tool-input-delta": { part: "toolCallId", delta: "inputTextDelta" },
};

/** Large enough to be rare, and far from what one event may hold. */
const DELTA_CHARACTERS_MAX = 64 * 1024;

/** Joins deltas that stand next to each other. What is read from the result is the same. */
export function mergeChunks(chunks: readonly ChunkLike[]): ChunkLike[] {
  const merged: ChunkLike[] = [];
  for (const chunk of chunks) {
    const last = merged.at(-1);
    const both = last === undefined ? undefined : joined(last, chunk);
    if (both === undefined) merged.push(chunk);
    else merged[merged.length - 1] = both;
  }
  return merged;
}

function joined(first: ChunkLike, second: ChunkLike): ChunkLike | undefined {
  const kind = Object.hasOwn(DELTAS, first.type) ? DELTAS[first.type] : undefined;
  if (kind === undefined || first.type !== second.type) return undefined;
  const [a, b] = [first, second] as unknown as readonly [Record<string, unknown>, Record<string, unknown>];
  const [before, after] = [a[kind.delta], b[kind.delta]];
  // Whatever else one of them carries (a provider's metadata, say) is its own.
  const isPlain = Object.keys(a).length === 3 && Object.keys(b).length === 3;
  if (!isPlain || a[kind.part] !== b[kind.part] || typeof before !== "string" || typeof after !== "string")
    return undefined;
  if (before.length + after.length > DELTA_CHARACTERS_MAX) return undefined;
  return { ...first, [kind.delta]: before + after };
}
