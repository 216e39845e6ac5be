import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./run-cli.test.support.js";
import { StubServer } from "./stub-server.test.support.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "daybook-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** An export that is far from read when its first events are sent. */
const EVENTS = 20_000;
const LINES = Array.from(
  { length: EVENTS },
  (_, index) => `{"seq":${index + 1},"fill":"${"x".repeat(200)}"}`,
);
const EXPORT = `{"daybook_export":1,"session":{"id":"s","last_seq":${EVENTS}}}\n${LINES.join("\n")}\n`;

describe("daybook import", () => {
  it.each(["a file", "standard input"])("from %s says why the server refused it", async (from) => {
    await using stub = await StubServer.start();
    stub.intercept = (_method, url, body) =>
      url.endsWith("/import")
        ? body.startsWith('{"session"')
          ? { status: 201, body: {} }
          : { status: 400, body: { error: "invalid_event", message: "No such thing." } }
        : undefined;
    const file = join(folder, "export.ndjson");
    await writeFile(file, EXPORT);
    const ran =
      from === "a file"
        ? await runCli(["-u", stub.url, "import", file])
        : await runCli(["-u", stub.url, "import"], { stdin: EXPORT });
    expect(ran).toMatchObject({ exitCode: 3, stdout: "" });
    expect(ran.stderr).toContain("invalid_event (400): No such thing.");
  });

  it("says what it could not read", async () => {
    await using stub = await StubServer.start();
    const ran = await runCli(["-u", stub.url, "import", join(folder, "none")]);
    expect(ran).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ran.stderr).toMatch(/cannot read .*none: ENOENT/);
  });
});
