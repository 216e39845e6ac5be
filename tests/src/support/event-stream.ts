import { eventually, type WireEvent } from "@daybook/test-kit";

export interface StreamMessage {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: string;
}

/** Server-sent events read as the standard says a browser reads them. */
export class EventStream implements Disposable {
  readonly messages: StreamMessage[] = [];
  readonly comments: string[] = [];
  readonly ended: Promise<void>;
  private readonly abort = new AbortController();

  private constructor(
    readonly response: Response,
    abort: AbortController,
  ) {
    this.abort = abort;
    this.ended = this.readAll().catch(() => undefined);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventStream> {
    const abort = new AbortController();
    const response = await fetch(url, {
      headers: { accept: "text/event-stream", ...headers },
      signal: abort.signal,
    });
    return new EventStream(response, abort);
  }

  get events(): WireEvent[] {
    return this.messages
      .filter(({ event }) => event === undefined)
      .map(({ data }) => JSON.parse(data) as WireEvent);
  }

  get seqs(): number[] {
    return this.events.map(({ seq }) => seq);
  }

  async received(count: number): Promise<void> {
    await eventually(`${count} messages on an event stream`, () => this.messages.length >= count);
  }

  [Symbol.dispose](): void {
    this.abort.abort();
  }

  private async readAll(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.response.body ?? []) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = rest.split(/\n\n|\r\r|\r\n\r\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.take(block);
    }
  }

  private take(block: string): void {
    let id: string | undefined;
    let event: string | undefined;
    const data: string[] = [];
    for (const line of block.split(/\r\n|\r|\n/)) {
      const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === "") this.comments.push(value);
      else if (field === "id") id = value;
      else if (field === "event") event = value;
      else if (field === "data") data.push(value);
    }
    if (data.length > 0) this.messages.push({ id, event, data: data.join("\n") });
  }
}
