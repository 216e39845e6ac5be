import { LIMITS } from "@daybook/protocol";
import { startServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { metric } from "./support/metric.js";
import { refusalOf, StatehouseClient, struct } from "./support/statehouse-client.js";

/** Nearly 1 MiB of JSON. */
const LARGE = { a: "x".repeat(1024 * 1024 - 100) };

describe("the limits of the state service", () => {
  it("let a transaction hold so many bytes", async () => {
    await using server = await startServer({ store: "memory" });
    using client = new StatehouseClient(server.grpcAddress);
    const txnId = await client.begin();
    const write = (key: string): Promise<string> =>
      refusalOf(client.call("write", { txnId, agentId: "a", key, value: struct(LARGE) }));
    for (let index = 0; index < 8; index++) expect(await write(`k${index}`)).toBe("OK");
    expect(await write("last")).toBe("INVALID_ARGUMENT:state_too_large");
    // What was refused was not staged, and the transaction goes on.
    expect(await refusalOf(client.call("commit", { txnId }))).toBe("OK");
    expect((await client.call("listKeys", { agentId: "a" })).keys).toHaveLength(8);
  });

  it("let a tenant stage so much, and give it back when transactions end", async () => {
    await using server = await startServer({ store: "memory" });
    using client = new StatehouseClient(server.grpcAddress);
    const write = (txnId: string | undefined, key: string): Promise<string> =>
      refusalOf(client.call("write", { txnId, agentId: "a", key, value: struct(LARGE) }));
    const open: string[] = [];
    let refusal = "OK";
    while (refusal === "OK") {
      const txnId = await client.begin(600_000);
      open.push(txnId);
      for (let index = 0; index < 8 && refusal === "OK"; index++) refusal = await write(txnId, `k${index}`);
    }
    expect(refusal).toBe("RESOURCE_EXHAUSTED:transactions_full");
    expect(open).toHaveLength(8);
    expect(await metric(server.opsUrl, "daybook_staged_bytes")).toBeLessThanOrEqual(LIMITS.stagedBytesMax);
    expect(await metric(server.opsUrl, "daybook_open_transactions")).toBe(8);
    // One that ends makes room for the others.
    await client.call("commit", { txnId: open[0] });
    expect(await metric(server.opsUrl, 'daybook_state_commits_total{result="ok"}')).toBe(1);
    expect(await write(open[7], "k")).toBe("OK");
    for (const txnId of open) await client.call("abort", { txnId });
    expect(await metric(server.opsUrl, "daybook_staged_bytes")).toBe(0);
    expect(await metric(server.opsUrl, "daybook_open_transactions")).toBe(0);
  });

  it("refuse answers that clients would not take", async () => {
    await using server = await startServer({ store: "memory" });
    using client = new StatehouseClient(server.grpcAddress);
    for (let index = 0; index < 5; index++) await client.commit([[`k${index}`, LARGE]], { agentId: "a" });
    const scan = (prefix: string): Promise<string> =>
      refusalOf(client.call("scanPrefix", { agentId: "a", prefix }));
    expect(await scan("")).toBe("RESOURCE_EXHAUSTED:answer_too_large");
    expect(await scan("k1")).toBe("OK");
    expect((await client.call("listKeys", { agentId: "a" })).keys).toHaveLength(5);
    const long = "x".repeat(LIMITS.stateKeyBytesMax - 5);
    const fill = async (agent_id: string, count: number): Promise<string> => {
      const operations = Array.from({ length: count }, (_, index) => ({
        ...{ agent_id, key: `${long}${10_000 + index}`, value: {} },
      }));
      await server.call("POST", "/v1/state/transactions", { operations });
      return refusalOf(client.call("listKeys", { agentId: agent_id }));
    };
    expect(await fill("fits", 4_000)).toBe("OK");
    expect(await fill("does not", 4_100)).toBe("RESOURCE_EXHAUSTED:answer_too_large");
  });
});
