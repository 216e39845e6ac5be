import { whyNotPlainText } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agentPrefix, type AgentKey, decodeAgentKey, encodeAgentKey, ownerOfKey } from "./agent-key.js";

const text = fc
  .string({ unit: fc.constantFrom("a", "b", ":", "/", ".", " ", "é", "😀", "%"), minLength: 1, maxLength: 6 })
  .filter((one) => whyNotPlainText(one) === undefined);
const identity = fc.record({ namespace: text, agent: text, key: text });

describe("the state key of an agent's record", () => {
  it("is read back as the same identity, so no two identities share one", () => {
    fc.assert(
      fc.property(identity, (id) => {
        expect(decodeAgentKey(encodeAgentKey(id))).toEqual(id);
      }),
    );
  });

  it("begins with its agent's prefix, and no other agent's", () => {
    fc.assert(
      fc.property(identity, identity, (id, other) => {
        const same = id.namespace === other.namespace && id.agent === other.agent;
        expect(encodeAgentKey(id).startsWith(agentPrefix(other))).toBe(same);
        expect(ownerOfKey(encodeAgentKey(id))).toBe(agentPrefix(id));
      }),
    );
  });

  it("keeps the keys of an agent in the order of their bytes", () => {
    // UTF-8 is in the order of code points.
    const points = (one: string): string =>
      Array.from(one, (each) => `${each.codePointAt(0) ?? 0}`.padStart(7)).join();
    fc.assert(
      fc.property(identity, text, (id: AgentKey, key) => {
        const [one, other] = [points(encodeAgentKey(id)), points(encodeAgentKey({ ...id, key }))];
        expect(one < other).toBe(points(id.key) < points(key));
      }),
    );
  });
});
