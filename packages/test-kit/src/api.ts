/** An event as the wire shows it, parsed. */
export interface WireEvent {
  readonly seq: number;
  readonly cursor: number;
  readonly tenant_id: string;
  readonly inserted_at: string;
  readonly type: string;
  readonly actor: string;
  readonly producer_id: string;
  readonly producer_seq: number;
  readonly source?: string;
  readonly idempotency_key: string | null;
  readonly metadata: Record<string, unknown>;
  readonly refs: Record<string, unknown>;
  readonly payload: Record<string, unknown>;
}

/** A session's record as the wire shows it, parsed. */
export interface WireRecord {
  readonly id: string;
  readonly title: string | null;
  readonly metadata: Record<string, unknown>;
  readonly tenant_id: string;
  readonly creator_principal: { readonly tenant_id: string; readonly id: string; readonly type: string };
  readonly last_seq: number;
  readonly archived: boolean;
  readonly created_at: string;
  readonly updated_at: string;
  readonly version: number;
  readonly forked_from?: { readonly session_id: string; readonly seq: number };
}

/** Members that answers of several calls have; which of them are there is what tests look at. */
export interface WireAnswer extends WireRecord {
  readonly error: string;
  readonly message: string;
  readonly seq: number;
  readonly cursor: number;
  readonly committed_cursor: number;
  readonly deduped: boolean;
  readonly results: readonly { readonly seq: number; readonly deduped: boolean }[];
  readonly events: readonly WireEvent[];
  readonly sessions: readonly WireRecord[];
  readonly next_cursor: unknown;
  readonly current_seq: number;
  readonly current_version: number;
  readonly index: number;
}

export interface CallAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body parsed; an empty object when it is empty or no JSON. */
  readonly json: WireAnswer;
}

/** What an append sends. */
export type EventBody = Record<string, unknown>;

/** The smallest good event, with what a test wants to say about it. */
export function eventBody(producerSeq: number, more: EventBody = {}): EventBody {
  return {
    type: "note",
    payload: { n: producerSeq },
    producer_id: "writer",
    producer_seq: producerSeq,
    ...more,
  };
}

/** A few lines over `fetch`: a body given as text or bytes goes out as it is, anything else as JSON. */
export class Api {
  constructor(readonly url: string) {}

  async call(
    method: string,
    path: string,
    body?: unknown,
    options: { readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
  ): Promise<CallAnswer> {
    const sent = bodyOf(body);
    const answer = await fetch(this.url + path, {
      method,
      headers: {
        ...(sent !== undefined && { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(sent !== undefined && { body: sent }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, json: parsed(text) };
  }

  /** Creates a session and answers its id. */
  async create(more: Record<string, unknown> = {}): Promise<string> {
    const { status, json, text } = await this.call("POST", "/v1/sessions", more);
    if (status !== 201) throw new Error(`create answered ${status}: ${text}`);
    return json.id;
  }

  append(id: string, body: unknown): Promise<CallAnswer> {
    return this.call("POST", `/v1/sessions/${encodeURIComponent(id)}/append`, body);
  }

  /** Appends events `from` to `to` of one producer, in lists. */
  async fill(
    id: string,
    { from = 1, to, more = {} }: { readonly from?: number; readonly to: number; readonly more?: EventBody },
  ): Promise<void> {
    for (let first = from; first <= to; first += 500) {
      const count = Math.min(500, to - first + 1);
      const events = Array.from({ length: count }, (_, index) => eventBody(first + index, more));
      const { status, text } = await this.append(id, { events });
      if (status !== 201) throw new Error(`append answered ${status}: ${text}`);
    }
  }

  events(id: string, query = ""): Promise<CallAnswer> {
    return this.call("GET", `/v1/sessions/${encodeURIComponent(id)}/events${query}`);
  }

  /** All events of a session, page by page. */
  async allEvents(id: string): Promise<WireEvent[]> {
    const all: WireEvent[] = [];
    for (;;) {
      const { status, json, text } = await this.events(id, `?cursor=${all.length}&limit=1000`);
      if (status !== 200) throw new Error(`events answered ${status}: ${text}`);
      if (json.events.length === 0) return all;
      all.push(...json.events);
    }
  }
}

function bodyOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) return body;
  return JSON.stringify(body);
}

function parsed(text: string): WireAnswer {
  try {
    return JSON.parse(text) as WireAnswer;
  } catch {
    // Not every answer is JSON; tests that expect JSON see that its members are missing.
    return {} as WireAnswer;
  }
}
