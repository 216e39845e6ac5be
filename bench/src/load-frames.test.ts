import { expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { once } from "node:events";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { clientFrame, FrameReader, TEXT, upgradeRequest } from "./load-frames.js";
import { AnswerHead } from "./load-stream.js";

/** A server's text frame: as a client's, without its mask. */
function serverFrame(text: string): Buffer {
  const frame = clientFrame(text);
  const maskAt = frame.length - Buffer.byteLength(text) - 4;
  frame[1] = (frame[1] ?? 0) & 0x7f;
  return Buffer.concat([frame.subarray(0, maskAt), frame.subarray(maskAt + 4)]);
}

test("frames are found wherever the pieces are cut", () => {
  const texts = ["", "short", "x".repeat(125), "y".repeat(126), "z".repeat(70_000), "last"];
  const bytes = Buffer.concat(texts.map(serverFrame));
  for (const piece of [1, 2, 3, 7, 1_000, bytes.length]) {
    const found: string[] = [];
    const reader = new FrameReader((opcode, start) => found.push(`${opcode}:${start}`), 5);
    for (let at = 0; at < bytes.length; at += piece) {
      const part = bytes.subarray(at, at + piece);
      reader.read(part, 0, part.length);
    }
    expect(found).toEqual(texts.map((text) => `${TEXT}:${text.slice(0, 5)}`));
  }
});

test("a server of another house reads the frames and accepts the handshake", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const received: string[] = [];
  const all = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      socket.on("message", (data: Buffer) => {
        if (received.push(data.toString()) === 3) resolve();
      });
    });
  });
  const texts = ["one", "é".repeat(100), "x".repeat(70_000)];
  const client = connect(port, "127.0.0.1");
  client.write(upgradeRequest(`GET / HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n`));
  for (const text of texts) client.write(clientFrame(text));
  const head = new AnswerHead(101);
  const [bytes] = (await once(client, "data")) as [Buffer];
  expect(head.read(bytes, bytes.length)).toBeGreaterThan(0);
  await all;
  client.destroy();
  server.close();
  expect(received).toEqual(texts);
});

test("a handshake that is refused says what was answered", () => {
  const answer = Buffer.from("HTTP/1.1 403 Forbidden\r\n\r\n");
  expect(() => new AnswerHead(101).read(answer, answer.length)).toThrow("403");
});
