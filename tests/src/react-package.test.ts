import { describe, expect, test } from "vitest";
import { bundle, describePackage } from "./support/package-checks.js";

const KIB = 1024;
/** What an app brings along: there must be one of each in it. */
const BROUGHT = ["react", "ai", "@daybook/client", "@daybook/client/ai"];

describe("the bundle of @daybook/react", () => {
  test("is small beside what it builds on, and runs in browsers", async () => {
    const { gzipped, inputs } = await bundle(`export * from "@daybook/react";`, BROUGHT);
    expect(gzipped).toBeLessThan(12 * KIB);
    const outside = inputs.filter((path) => !path.includes("packages/react/dist/") && path !== "<stdin>");
    expect(outside).toEqual([]);
  });

  test("takes only the chat readers of the client, not the agents' side", async () => {
    const external = ["react", "ai", "@daybook/client"];
    const { text, gzipped } = await bundle(`export * from "@daybook/react";`, external);
    expect(gzipped).toBeLessThan(14 * KIB);
    expect(text).not.toContain("consumer.claimed");
  });

  test("useSession alone brings no AI SDK", async () => {
    const { inputs, text } = await bundle(`export { useSession } from "@daybook/react";`, BROUGHT);
    expect(inputs).not.toContain("ai");
    expect(text).not.toMatch(/from\s*"ai"/);
  });
});

describePackage("react", ["dist/index.js", "dist/index.d.ts", "src/index.ts"]);
