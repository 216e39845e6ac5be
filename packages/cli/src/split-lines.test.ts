import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Line, LineSplitter } from "./split-lines.js";

function split(chunks: readonly Buffer[], bytesMax: number): Line[] {
  const splitter = new LineSplitter(bytesMax);
  return [...chunks.flatMap((chunk) => [...splitter.push(chunk)]), ...splitter.end()];
}

const texts = (lines: readonly Line[]): string[] => lines.map(({ bytes }) => bytes.toString("utf8"));

/** Bytes with many line feeds and multi-byte characters, whole and broken. */
const streams = fc
  .array(
    fc.oneof(
      fc.constant(Buffer.from("\n")),
      fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    ),
  )
  .map((parts) => Buffer.concat(parts));

function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])].sort(
    (one, other) => one - other,
  );
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
}

describe("LineSplitter", () => {
  it("gives the same lines however the stream came in chunks", () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat()), fc.integer({ min: 4, max: 40 }), (bytes, places, limit) => {
        expect(split(cutAt(bytes, places), limit)).toEqual(split([bytes], limit));
      }),
    );
  });

  it("keeps every byte: the lines, with a line feed after each that is not continued, are the stream", () => {
    fc.assert(
      fc.property(streams, fc.integer({ min: 4, max: 40 }), (bytes, limit) => {
        const ended = Buffer.concat([bytes, Buffer.from("\n")]);
        const parts = split([ended], limit).flatMap((line) =>
          line.continued ? [line.bytes] : [line.bytes, Buffer.from("\n")],
        );
        expect(Buffer.concat(parts)).toEqual(ended);
      }),
    );
  });

  it("never gives more bytes than the limit at once, and cuts valid text only between characters", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.integer({ min: 4, max: 40 }),
        (text, limit) => {
          const lines = split([Buffer.from(text)], limit);
          for (const { bytes } of lines) {
            expect(bytes.length).toBeLessThanOrEqual(limit);
            expect(Buffer.from(bytes.toString("utf8"))).toEqual(bytes);
          }
        },
      ),
    );
  });

  it("gives a last line without a line feed, and none after the last line feed", () => {
    expect(texts(split([Buffer.from("a\nb")], 100))).toEqual(["a", "b"]);
    expect(texts(split([Buffer.from("a\n\n")], 100))).toEqual(["a", ""]);
  });

  it("does not cut a line of exactly the limit", () => {
    expect(split([Buffer.from("12345678\n123456789\n")], 8)).toEqual([
      { bytes: Buffer.from("12345678"), continued: false },
      { bytes: Buffer.from("12345678"), continued: true },
      { bytes: Buffer.from("9"), continued: false },
    ]);
  });
});
