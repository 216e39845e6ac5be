import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { createContextValues } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { asConnectError } from "../dialects/rpc-errors.js";
import { CALLER } from "../dialects/statehouse-methods.js";
import type { Rpc } from "../dialects/statehouse-rpcs.js";
import { Query } from "../service/query.js";
import type { Gate } from "./access.js";

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
      response.destroy();
    });
    return true;
  }

  private async answer(rpc: Rpc, request: RpcRequest, response: RpcResponse): Promise<void> {
    const contextValues = createContextValues();
    const received = universalRequestFromNodeRequest(request, response, undefined, contextValues);
    const isJson = request.headers["content-type"]?.includes("json") === true;
    const admit = async (): Promise<void> => {
      if (rpc.access === undefined) {
        this.gate.countOpen(request);
        return;
      }
      const token = this.gate.tokenOf(request, NO_QUERY, rpc.access);
      contextValues.set(CALLER, await this.gate.admit(request, token, rpc.access, undefined));
    };
    const body = received.body as AsyncIterable<Uint8Array>;
    const answer = await (isJson ? rpc.json : rpc.binary)({ ...received, body: behind(admit, body) });
    await universalResponseToNodeResponse(answer, response);
  }
}

/** A body that is read only once its caller was let in; a refusal is told in the caller's own protocol. */
async function* behind(
  admit: () => Promise<void>,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    await admit();
  } catch (error) {
    throw asConnectError(error);
  }
  yield* body;
}
