/** What the backend says about a person, and about where things are. */
export interface Me {
  readonly id: string;
  readonly name: string;
  readonly daybookUrl: string;
  readonly cast: readonly Agent[];
}

export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly role: string;
}

export interface ChatRecord {
  readonly id: string;
  readonly title: string | null;
  readonly updatedAt: string;
}

/** The backend said no. What it did not say at all is tried again instead. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** For people: what did not happen, and why. */
export function whyNot(what: string, cause: unknown): Error {
  const why = cause instanceof Refusal ? cause.message : "The backend cannot be reached.";
  return new Error(`${what} ${why}`, { cause });
}

/** A backend that is started again is there within seconds. */
const RETRY_MS = 1_000;

export const fetchMe = (): Promise<Me> => patiently(() => call<Me>("GET", "/api/me"));

export const createChat = (): Promise<ChatRecord> => call("POST", "/api/chats");

export const archiveChat = (id: string): Promise<unknown> => call("POST", `${chatPath(id)}/archive`);

export async function fetchToken(id: string): Promise<string> {
  return (await call<{ readonly token: string }>("POST", `${chatPath(id)}/token`)).token;
}

/** Tries until it gets an answer, or nobody waits for one any more. @throws Refusal, or what the signal aborts for */
export async function patiently<Value>(ask: () => Promise<Value>, signal?: AbortSignal): Promise<Value> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) throw error;
      // However long it takes: without the backend there is nothing that the page could show instead.
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function call<Value>(method: string, path: string): Promise<Value> {
  const response = await fetch(path, { method });
  if (response.ok) return (await response.json()) as Value;
  const { error } = (await response.json().catch(() => ({}))) as { readonly error?: string };
  throw new Refusal(error ?? `The backend answered ${response.status}.`, response.status);
}

function chatPath(id: string): string {
  return `/api/chats/${encodeURIComponent(id)}`;
}
