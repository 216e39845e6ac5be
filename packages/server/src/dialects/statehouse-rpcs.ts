import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { LIMITS } from "@daybook/protocol";
import type { Logger } from "pino";
import { type Authenticator, type TokenEnd, tokenEnded } from "../auth/authenticator.js";
import { StatehouseService } from "../generated/statehouse/v1/statehouse_pb.js";
import type { Access } from "../http/access.js";
import type { RpcContext, UnaryRpc } from "../http/grpc-unary.js";
import { asDaybookError } from "../http/send-error.js";
import type { Metrics } from "../metrics.js";
import { asConnectError } from "./rpc-errors.js";
import { CALLER, statehouseMethods, type StatehouseParts } from "./statehouse-methods.js";
import { BINARY_FORM, JSON_FORM, JSON_OPTIONS, type ValueForm } from "./statehouse-wire.js";

export interface RpcOptions extends StatehouseParts {
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** One rpc, as the doors serve it. */
export interface Rpc {
  readonly path: string;
  /** Left out: everybody may. */
  readonly access: Access | undefined;
  readonly binary: UniversalHandler;
  readonly json: UniversalHandler;
  /** The same as `binary`, if one message goes each way. */
  readonly unary: UnaryRpc | undefined;
}

const READ: Access = { scope: "state:read", locked: "none" };
const WRITE: Access = { scope: "state:write", locked: "none" };

type RpcName = keyof typeof StatehouseService.method;

/** Who may call what. Tokens that are for one session have no business with agents' state. */
const ACCESS: Readonly<Record<RpcName, Access | undefined>> = {
  health: undefined,
  version: undefined,
  beginTransaction: WRITE,
  write: WRITE,
  delete: WRITE,
  commit: WRITE,
  abort: WRITE,
  getState: READ,
  getStateAtVersion: READ,
  listKeys: READ,
  scanPrefix: READ,
  replay: READ,
};

/** All rpcs, in both forms of their messages, for gRPC, gRPC-web and Connect. */
export function statehouseRpcs(options: RpcOptions): Rpc[] {
  const binary = methodsOf(options, BINARY_FORM);
  const binaryHandlers = handlersOf(BINARY_FORM, binary);
  const jsonHandlers = handlersOf(JSON_FORM, methodsOf(options, JSON_FORM));
  return (Object.keys(ACCESS) as RpcName[]).map((name) => {
    const path = `/${StatehouseService.typeName}/${StatehouseService.method[name].name}`;
    const [one, other] = [binaryHandlers.get(path), jsonHandlers.get(path)];
    if (one === undefined || other === undefined) throw new Error(`broken invariant: no handler for ${path}`);
    return { path, access: ACCESS[name], binary: one, json: other, unary: unaryOf(name, binary) };
  });
}

type Methods = Readonly<Record<string, Method>>;

function methodsOf(options: RpcOptions, form: ValueForm): Methods {
  return Object.fromEntries(
    Object.entries(statehouseMethods(options, form)).map(([name, method]) => [
      name,
      name === "replay" ? guardedStream(options, name, method) : guarded(options, name, method),
    ]),
  );
}

function handlersOf(form: ValueForm, methods: Methods): Map<string, UniversalHandler> {
  const router = createConnectRouter({
    jsonOptions: JSON_OPTIONS,
    readMaxBytes: LIMITS.rpcRequestBytesMax,
    // Requests may be compressed; answers are not: it costs more than it saves on the way to a machine nearby.
    acceptCompression: [compressionGzip],
    compressMinBytes: Number.MAX_SAFE_INTEGER,
  });
  // The methods speak of values as this form has them, which generated types cannot say.
  router.service(form.service, methods as never);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

function unaryOf(name: RpcName, methods: Methods): UnaryRpc | undefined {
  const descriptor = BINARY_FORM.service.method[name];
  const method = methods[name];
  if (descriptor?.methodKind !== "unary" || method === undefined) return undefined;
  const { input, output } = descriptor;
  // What a method takes and gives is what its descriptor says; by its name alone the compiler cannot know.
  return { input, output, call: method as unknown as UnaryRpc["call"] };
}

type Method = (request: never, context: RpcContext) => unknown;

/** Counts a call, and puts its errors into gRPC's terms. */
function guarded(options: RpcOptions, name: string, method: Method): Method {
  return async (request, context) => {
    try {
      const answer: unknown = await method(request, context);
      options.metrics.rpcs.inc({ rpc: name, result: "ok" });
      return answer;
    } catch (error) {
      const shown = asShown(options, name, error);
      options.metrics.rpcs.inc({ rpc: name, result: resultOf(shown) });
      throw shown;
    }
  };
}

/** The same for a stream, which also ends with its caller's token. */
function guardedStream(options: RpcOptions, name: string, method: Method): Method {
  return async function* (request, context) {
    const caller = context.values.get(CALLER);
    let end: TokenEnd | undefined;
    let result: string = "cancelled";
    const undo =
      caller === undefined ? () => undefined : options.authenticator.onEnd(caller, (how) => (end = how));
    try {
      for await (const message of method(request, context) as AsyncIterable<unknown>) {
        if (end !== undefined) throw tokenEnded(end);
        yield message;
      }
      result = "ok";
    } catch (error) {
      // Whatever broke when the caller had gone, broke because of that.
      if (context.signal.aborted) throw ConnectError.from(context.signal.reason, Code.Canceled);
      const shown = asShown(options, name, error);
      result = resultOf(shown);
      throw shown;
    } finally {
      undo();
      options.metrics.rpcs.inc({ rpc: name, result });
    }
  };
}

/** An error as the caller sees it; what he does not see is in the log. */
function asShown({ logger }: RpcOptions, name: string, error: unknown): ConnectError {
  const shown = asConnectError(error);
  const code = resultOf(shown);
  if (code === "internal_error" || code === "storage_unavailable")
    logger.error({ err: asDaybookError(error).cause ?? error, code, rpc: name }, "a call failed");
  else logger.debug({ code, rpc: name }, "refused");
  return shown;
}

/** The error's code; an error that is not of the table says that the caller went away or ran out of time. */
const resultOf = ({ metadata }: ConnectError): string => metadata.get("daybook-error") ?? "cancelled";
