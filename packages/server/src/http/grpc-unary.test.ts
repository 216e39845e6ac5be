import { once } from "node:events";
import { connect, createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { createContextValues } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StatehouseService } from "../generated/statehouse/v1/statehouse_pb.js";
import { answerUnary } from "./grpc-unary.js";

const { input, output } = StatehouseService.method.health;
/** A call as it is on the wire: its message is empty. */
const WHOLE = Buffer.alloc(5);

const server = createServer();
beforeAll(() => once(server.listen(0, "127.0.0.1"), "listening"));
afterAll(() => void server.close());

describe("a caller that goes away while it is asked whether he may call", () => {
  test.each([
    ["before he sent anything", 0],
    ["in the middle of his message", 3],
    ["after his message", WHOLE.length],
  ])("%s leaves nothing waiting, and nothing is done for him", async (_when, sent) => {
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const call = client.request({ ":method": "POST", "content-type": "application/grpc" });
    if (sent > 0) call.write(WHOLE.subarray(0, sent));
    const [request, response] = (await once(server, "request")) as [Http2ServerRequest, Http2ServerResponse];
    let called = 0;
    const rpc = { input, output, call: async () => Promise.resolve({ called: ++called }) };
    const admit = async (): Promise<void> => {
      const closed = once(request, "close");
      call.close();
      await closed;
    };
    const context = { values: createContextValues(), signal: new AbortController().signal, admit };
    expect(await answerUnary(rpc, { request, response }, context)).toBeUndefined();
    expect(called).toBe(0);
    client.close();
  });
});
