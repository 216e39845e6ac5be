import * as http from "node:http";
import * as https from "node:https";

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** No complete answer came. `mayHaveArrived`: the server may have acted on it all the same. */
export class ConnectionFailure extends Error {
  override readonly name = "ConnectionFailure";

  constructor(
    message: string,
    readonly mayHaveArrived: boolean,
  ) {
    super(message);
  }
}

/** Longer than any answer takes, long polls included, so that only a dead peer is given up. */
const SILENCE_MAX_MS = 75_000;

/** With these errors no connection was made, so nothing can have been done. */
const NOT_CONNECTED = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

/** Sends requests over few, kept connections. node:http and not fetch: fetch refuses some ports and hides causes. */
export class HttpSender {
  private readonly plain = new http.Agent({ keepAlive: true });
  private readonly tls = new https.Agent({ keepAlive: true });

  /** @throws ConnectionFailure; AbortError when the signal fires. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const response = await this.open(request);
    try {
      return await readAnswer(response);
    } catch (error) {
      throw asFailure(error as Error);
    }
  }

  /** The answer as soon as it begins; its body is for the caller to read. @throws as `send` does */
  async open(request: HttpRequest): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const isTls = /^https:/i.test(request.url);
      const sent = (isTls ? https : http).request(request.url, {
        method: request.method,
        headers: headersOf(request),
        agent: isTls ? this.tls : this.plain,
        timeout: SILENCE_MAX_MS,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      sent.on("timeout", () => sent.destroy(new Error("the server has been silent for too long")));
      sent.on("error", (error) => reject(asFailure(error)));
      sent.on("response", resolve);
      sent.end(request.body);
    });
  }

  close(): void {
    this.plain.destroy();
    this.tls.destroy();
  }
}

function headersOf(request: HttpRequest): Record<string, string | number> {
  if (request.body === undefined) return { ...request.headers };
  return {
    ...request.headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(request.body),
  };
}

export async function readAnswer(response: http.IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  if (!response.complete) throw new Error("the answer broke off");
  const text = Buffer.concat(chunks).toString("utf8");
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

export function asFailure(error: Error): Error {
  if (error.name === "AbortError") return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  // A host with several addresses fails with an error that has only a code.
  const message = error.message === "" ? code : error.message;
  return new ConnectionFailure(message, !NOT_CONNECTED.has(code));
}
