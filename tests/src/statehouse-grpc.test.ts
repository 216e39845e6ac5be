import { startServer, type TestServer } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plain, refusalOf, StatehouseClient, struct } from "./support/statehouse-client.js";

let server: TestServer;
let client: StatehouseClient;
let agents = 0;
/** An agent that no other test uses. */
const newAgent = (): string => `agent-${++agents}`;

beforeAll(async () => {
  server = await startServer({ store: "memory" });
  client = new StatehouseClient(server.grpcAddress);
});
afterAll(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

/** The answer for a record, or a version, that there never was. */
const NEVER = { exists: false, version: "0", commitTs: "0" };

describe("the state service over gRPC", () => {
  it("is healthy, and says its version", async () => {
    expect((await client.call("health")).status).toBe("ok");
    expect((await client.call("version")).version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("reads what was committed, and not what is only staged", async () => {
    const agentId = newAgent();
    const txnId = await client.begin();
    const value = { a: 1, b: [true, null, { c: "é😀" }, []], d: {}, e: -0.5, f: 1e300 };
    await client.call("write", { txnId, agentId, key: "k", value: struct(value) });
    expect(await client.call("getState", { agentId, key: "k" })).toEqual(NEVER);
    const { commitTs } = await client.call("commit", { txnId });
    const read = await client.call("getState", { namespace: "default", agentId, key: "k" });
    expect(read).toMatchObject({ exists: true, version: "1", commitTs });
    expect(plain(read.value)).toEqual(value);
    expect(await refusalOf(client.call("commit", { txnId }))).toBe("FAILED_PRECONDITION:transaction_ended");
  });
});
