import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { eventually } from "@daybook/test-kit";

interface Message {
  readonly role: string;
  readonly content: unknown;
}

/** One answer that is asked for. It says what the test says, when it says it. */
export class GatedAnswer {
  /** Whoever asked has hung up before it was whole. */
  isGivenUp = false;

  constructor(
    readonly messages: readonly Message[],
    private readonly response: ServerResponse,
  ) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.once("close", () => (this.isGivenUp ||= !response.writableEnded));
  }

  /** The system prompt says who asks: "You are Scout." */
  get agent(): string {
    return /You are (\w+)\./.exec(JSON.stringify(this.messages[0]))?.[1]?.toLowerCase() ?? "";
  }

  say(content: string): void {
    this.write({ delta: { role: "assistant", content }, finish_reason: null });
  }

  finish(): void {
    this.write({ delta: {}, finish_reason: "stop" });
    this.response.end("data: [DONE]\n\n");
  }

  /** As a server that falls over. */
  breakOff(): void {
    this.response.destroy();
  }

  private write(choice: object): void {
    const chunk = { id: "c1", object: "chat.completion.chunk", created: 1, model: "gated" };
    this.response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, ...choice }] })}\n\n`);
  }
}

/** A server with OpenAI's API whose answers wait for the test. */
export class GatedModel implements AsyncDisposable {
  readonly answers: GatedAnswer[] = [];
  private taken = 0;
  private readonly server = createServer((request, response) => void this.begin(request, response));

  static async start(): Promise<GatedModel> {
    const model = new GatedModel();
    model.server.listen(0, "127.0.0.1");
    await once(model.server, "listening");
    return model;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** The next answer that is asked for. */
  async next(): Promise<GatedAnswer> {
    const at = this.taken++;
    await eventually("an answer is asked for", () => this.answers.length > at);
    return this.answers[at]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private async begin(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const text of request.setEncoding("utf8")) body += text as string;
    const { messages } = JSON.parse(body) as { readonly messages: readonly Message[] };
    this.answers.push(new GatedAnswer(messages, response));
  }
}
