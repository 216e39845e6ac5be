import { CommandFailure } from "./failures.js";
import type { Input } from "./io.js";
import { LineSplitter } from "./split-lines.js";
import { showBytes } from "./progress.js";

export interface NumberedLine {
  /** Counted from 1, empty lines too, as editors do. */
  readonly number: number;
  readonly text: string;
}

export interface LineRules {
  readonly bytesMax: number;
  /** What is no UTF-8 is an error, and not just shown as U+FFFD. */
  readonly strictUtf8: boolean;
}

/**
 * The lines of a UTF-8 input, one at a time, without their line ends.
 * @throws CommandFailure naming the line that is too long or no UTF-8.
 */
export async function* readLines(input: Input, rules: LineRules): AsyncGenerator<NumberedLine> {
  const splitter = new LineSplitter(rules.bytesMax);
  const decoder = new TextDecoder("utf-8", { fatal: rules.strictUtf8, ignoreBOM: true });
  let number = 0;
  const decode = (bytes: Buffer): string => {
    try {
      const text = decoder.decode(bytes);
      return text.endsWith("\r") ? text.slice(0, -1) : text;
    } catch {
      throw new CommandFailure(`line ${number} is not valid UTF-8`);
    }
  };
  for await (const chunk of input) {
    for (const { bytes, continued } of splitter.push(asBytes(chunk))) {
      number++;
      if (continued) throw new CommandFailure(`line ${number} is longer than ${showBytes(rules.bytesMax)}`);
      yield { number, text: decode(bytes) };
    }
  }
  for (const { bytes } of splitter.end()) {
    number++;
    yield { number, text: decode(bytes) };
  }
}

function asBytes(chunk: unknown): Buffer {
  return typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Buffer);
}
