import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { create, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type ConnectError, type HandlerContext } from "@connectrpc/connect";
import { LIMITS } from "@daybook/protocol";
import { asConnectError } from "../dialects/rpc-errors.js";

/** What a call knows of its surroundings. */
export type RpcContext = Pick<HandlerContext, "values" | "signal">;

/** An rpc with one message each way. */
export interface UnaryRpc {
  readonly input: DescMessage;
  readonly output: DescMessage;
  readonly call: (request: Message, context: RpcContext) => Promise<Record<string, unknown>>;
}

/**
 * gRPC in its plainest form, which is what nearly all calls are: one message each way, binary, not compressed.
 *
 *     message = 0, length (4 bytes), bytes            grpc-status and grpc-message in the trailers
 *
 * The library's way through streams and linked signals costs several times what the call itself does. Whatever is not
 * plain is left to it.
 */
export function isPlainGrpc({ method, headers }: Http2ServerRequest): boolean {
  const encoding = headers["grpc-encoding"];
  const timeout = headers["grpc-timeout"];
  return (
    method === "POST" &&
    PLAIN_TYPE.test(headers["content-type"] ?? "") &&
    (encoding === undefined || encoding === "identity") &&
    // Whoever sets one keeps to it himself; the server has nothing to give up that would take so long.
    (timeout === undefined || /^\d{1,8}[HMSmun]$/.test(String(timeout)))
  );
}

const PLAIN_TYPE = /^application\/grpc(\+proto)?$/i;
const ANSWER_TYPE = "application/grpc+proto";
const PREFIX_BYTES = 5;

/**
 * Answers a plain call once `admit` let its caller in.
 * @returns what was read and what is left of a body that is not plain, for the library
 */
export async function answerUnary(
  { input, output, call }: UnaryRpc,
  { request, response }: { readonly request: Http2ServerRequest; readonly response: Http2ServerResponse },
  { admit, ...context }: RpcContext & { readonly admit: () => Promise<void> },
): Promise<AsyncIterable<Uint8Array> | undefined> {
  try {
    await admit();
    const body = await readBody(request);
    const message = body.isWhole ? messageIn(input, body.chunks) : undefined;
    if (message === undefined) return goingOn(body.chunks, request);
    const answer = toBinary(output, create(output, await call(message, context)));
    respond(response, { bytes: answer, trailers: { "grpc-status": "0" } });
  } catch (error) {
    respond(response, { trailers: trailersOf(asConnectError(error)) });
  }
  return undefined;
}

interface Body {
  readonly chunks: readonly Buffer[];
  /** Otherwise it is larger than a message may be. */
  readonly isWhole: boolean;
}

function readBody(request: Http2ServerRequest): Promise<Body> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (settled: () => void): void => {
      request.off("data", take).off("end", end).off("error", reject).off("close", gone);
      settled();
    };
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes <= LIMITS.rpcRequestBytesMax + PREFIX_BYTES) return;
      request.pause();
      settle(() => resolve({ chunks, isWhole: false }));
    };
    const end = (): void => settle(() => resolve({ chunks, isWhole: true }));
    const gone = (): void => settle(() => reject(new Error("the caller went away")));
    request.on("data", take).once("end", end).once("error", reject).once("close", gone);
    // He went while he was being let in: the events were before there was anybody to hear them.
    if (request.stream.destroyed) gone();
  });
}

/** Undefined: there is not one plain message in it. What is wrong with it the library says. */
function messageIn(schema: DescMessage, chunks: readonly Buffer[]): Message | undefined {
  const [first] = chunks;
  const body = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  if (body.length < PREFIX_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - PREFIX_BYTES)
    return undefined;
  try {
    return fromBinary(schema, body.subarray(PREFIX_BYTES));
  } catch {
    // The library meets the same, and has the words for it.
    return undefined;
  }
}

async function* goingOn(
  chunks: readonly Buffer[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
  yield* rest;
}

function respond(
  response: Http2ServerResponse,
  { bytes, trailers }: { readonly bytes?: Uint8Array; readonly trailers: Record<string, string> },
): void {
  // The caller went away.
  if (response.stream.destroyed || response.stream.closed) return;
  response.writeHead(200, { "content-type": ANSWER_TYPE });
  response.addTrailers(trailers);
  if (bytes === undefined) {
    response.end();
    return;
  }
  const message = Buffer.allocUnsafe(PREFIX_BYTES + bytes.length);
  message[0] = 0;
  message.writeUInt32BE(bytes.length, 1);
  message.set(bytes, PREFIX_BYTES);
  response.end(message);
}

function trailersOf({ code, rawMessage, metadata }: ConnectError): Record<string, string> {
  return {
    ...Object.fromEntries(metadata),
    "grpc-status": String(code),
    "grpc-message": encodeGrpcMessage(rawMessage),
  };
}

/** Percent-encoded no more than gRPC asks: its client for Node takes no more of it back. */
export const encodeGrpcMessage = (message: string): string =>
  message.toWellFormed().replace(BEYOND_ASCII, encodeURIComponent);

/** What must be percent-encoded in a gRPC message, surrogates in pairs. */
const BEYOND_ASCII = /[^ -~]+|%/gu;
