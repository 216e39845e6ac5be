import { describe, expect, test } from "vitest";
import { bundle, describePackage, installedWith } from "./support/package-checks.js";

const KIB = 1024;

describe("the bundle of @daybook/client", () => {
  test("is under 20 KiB gzipped, socket and all", async () => {
    const { gzipped, inputs } = await bundle(`export * from "@daybook/client";`);
    expect(gzipped).toBeLessThan(20 * KIB);
    // Of the protocol only the error table: no schemas, nobody else's code.
    const outside = inputs.filter((path) => !path.includes("packages/client/dist/") && path !== "<stdin>");
    expect(outside.map((path) => path.replace(/^.*packages\//, ""))).toEqual(["protocol/dist/errors.js"]);
  });

  test("leaves out what is not used", async () => {
    const { gzipped, text } = await bundle(
      `export { DaybookError, localStorageStore } from "@daybook/client";`,
    );
    expect(gzipped).toBeLessThan(2 * KIB);
    expect(text).not.toContain("phx_join");
  });

  test.each(["ai", "conversations"])("with /%s is under 25 KiB, and runs in browsers too", async (path) => {
    const { gzipped } = await bundle(
      `export * from "@daybook/client"; export * as more from "@daybook/client/${path}";`,
    );
    expect(gzipped).toBeLessThan(25 * KIB);
  });
});

test("what npm installs with @daybook/client is the protocol alone: the schemas' library is for servers", async () => {
  expect(await installedWith("client")).toEqual(["@daybook/protocol"]);
});

describePackage("client", ["dist/index.js", "dist/index.d.ts", "dist/ai/index.js"]);
