import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Logger } from "pino";
import { asConnectError } from "../dialects/rpc-errors.js";
import { CALLER } from "../dialects/statehouse-methods.js";
import type { Rpc } from "../dialects/statehouse-rpcs.js";
import { Query } from "../service/query.js";
import type { Gate } from "./access.js";
import { answerUnary, encodeGrpcMessage, isPlainGrpc } from "./grpc-unary.js";

type RpcRequest = IncomingMessage | Http2ServerRequest;
type RpcResponse = ServerResponse | Http2ServerResponse;

const NO_QUERY = Query.parse("");

/** Takes rpcs off Node's HTTP servers, old and new. */
export class RpcDoor {
  private readonly rpcs: ReadonlyMap<string, Rpc>;

  constructor(
    rpcs: readonly Rpc[],
    private readonly gate: Gate,
    private readonly logger: Logger,
  ) {
    this.rpcs = new Map(rpcs.map((rpc) => [rpc.path, rpc]));
  }

  get paths(): readonly string[] {
    return [...this.rpcs.keys()];
  }

  /** Answers a request; false when its path is no rpc's. */
  handle(request: RpcRequest, response: RpcResponse): boolean {
    const rpc = this.rpcs.get(request.url?.split("?", 1)[0] ?? "");
    if (rpc === undefined) return false;
    this.answer(rpc, request, response).catch((error: unknown) => {
      // The caller went away, or sent what is no request: there is nobody to tell.
      this.logger.debug({ err: error, path: rpc.path }, "an rpc broke off");
      request.destroy();
    });
    return true;
  }

  private async answer(rpc: Rpc, request: RpcRequest, response: RpcResponse): Promise<void> {
    const contextValues = createContextValues();
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableEnded) gone.abort(GONE);
    });
    const admit = async (): Promise<void> => {
      if (rpc.access === undefined) {
        this.gate.countOpen(request);
        return;
      }
      const token = this.gate.tokenOf(request, NO_QUERY, rpc.access);
      contextValues.set(CALLER, await this.gate.admit(request, token, rpc.access, undefined));
    };
    let body = behind(admit, request);
    if (rpc.unary !== undefined && "stream" in request && "stream" in response && isPlainGrpc(request)) {
      const context = { values: contextValues, signal: gone.signal, admit };
      const rest = await answerUnary(rpc.unary, { request, response }, context);
      if (rest === undefined) return;
      body = rest;
    }
    const header = headersOf(request);
    const handler = header.get("content-type")?.includes("json") === true ? rpc.json : rpc.binary;
    const answer = await handler({
      httpVersion: request.httpVersion,
      method: request.method ?? "",
      // Only its path and query are looked at.
      url: new URL(request.url ?? "/", "http://rpc").href,
      ...{ header, contextValues, signal: gone.signal, body },
    });
    await send(corrected(answer), response);
  }
}

/** Made once: an error of its own for each call that ends would cost more than most calls. */
const GONE = new ConnectError("the caller went away", Code.Canceled);

function headersOf({ headers }: RpcRequest): Headers {
  const header = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const one of Array.isArray(value) ? value : [value]) header.append(name, one);
  }
  return header;
}

/**
 * Writes an answer as fast as the caller takes it. Once he is gone the body is told to end: the library's own way
 * would wait for ever for room in a stream that was cut.
 */
async function send(
  { status, header, body, trailer }: UniversalServerResponse,
  to: RpcResponse,
): Promise<void> {
  const response = to as ServerResponse;
  let closed = false;
  let wake: () => void = () => undefined;
  const isGone = (): boolean => closed;
  response.once("close", () => {
    closed = true;
    wake();
  });
  response.on("drain", () => wake());
  response.writeHead(status, Object.fromEntries(header ?? []));
  for await (const chunk of body ?? []) {
    if (isGone()) break;
    if (!response.write(chunk)) await new Promise<void>((resolve) => (wake = resolve));
    if (isGone()) break;
  }
  if (trailer !== undefined) response.addTrailers(Object.fromEntries(trailer));
  response.end();
}

/**
 * What the library says otherwise than we do. Bytes that are no message are the caller's fault and not ours; and a
 * message is to be percent-encoded no more than gRPC asks, since its client for Node takes no more of it back.
 */
function corrected(answer: UniversalServerResponse): UniversalServerResponse {
  const { body, trailer } = answer;
  if (body === undefined || trailer === undefined) return answer;
  return { ...answer, body: withTrailer(body, trailer) };
}

async function* withTrailer(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  const message = trailer.get("grpc-message");
  if (message === null) return;
  // Our own errors all name their code.
  if (trailer.get("grpc-status") === String(Code.Internal) && !trailer.has("daybook-error"))
    trailer.set("grpc-status", String(Code.InvalidArgument));
  trailer.set("grpc-message", encodeGrpcMessage(decodeURIComponent(message)));
}

/** A body that is read only once its caller was let in; a refusal is told in the caller's own protocol. */
async function* behind(
  admit: () => Promise<void>,
  body: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  try {
    await admit();
  } catch (error) {
    throw asConnectError(error);
  }
  yield* body;
}
