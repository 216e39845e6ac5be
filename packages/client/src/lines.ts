type Chunk = { readonly done: boolean; readonly value?: Uint8Array | undefined };

/** The lines of a text that comes in pieces, without their ends. What follows the last end is no line: it was cut off. */
export async function* linesOf(read: () => Promise<Chunk>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  // Pieces of a long line are put together once, when its end has come.
  let begun: string[] = [];
  for (;;) {
    const { done, value } = await read();
    if (done) return;
    const [first = "", ...others] = decoder.decode(value, { stream: true }).split("\n");
    begun.push(first);
    for (const next of others) {
      yield begun.join("");
      begun = [next];
    }
  }
}
