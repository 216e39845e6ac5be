import { describe, expect, it } from "vitest";
import { type Ran, runCli } from "./run-cli.test.support.js";
import { StubServer } from "./stub-server.test.support.js";

const list = (stub: StubServer, ...args: string[]): Promise<Ran> =>
  runCli(["sessions", "list", ...args, "--base-url", stub.url]);

const session = (id: string): Record<string, unknown> => ({
  id,
  title: `About ${id}`,
  last_seq: 1,
  archived: false,
  updated_at: "2030-01-01T00:00:00.000Z",
});

describe("daybook sessions list", () => {
  it("filters by metadata as KEY=VALUE, and as JSON whose values keep their text", async () => {
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 200, body: { sessions: [], next_cursor: null } });
    await list(
      stub,
      "--metadata",
      "team=legal=x",
      "--metadata",
      '{"n":1.0,"big":12345678901234567890,"s":"a\\"b"}',
    );
    const query = new URL(stub.requests[0]?.url ?? "", stub.url).searchParams;
    expect(Object.fromEntries([...query].filter(([name]) => name.startsWith("metadata.")))).toEqual({
      "metadata.team": "legal=x",
      "metadata.n": "1.0",
      "metadata.big": "12345678901234567890",
      "metadata.s": 'a"b',
    });
  });

  it("asks for what the flags say, and for the active ones when they say nothing", async () => {
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 200, body: { sessions: [], next_cursor: null } });
    await list(stub);
    for (const which of ["active", "archived", "all"]) await list(stub, "--archived", which);
    await list(stub, "--limit", "7", "--cursor", "c=1", "--sort", "updated", "--order", "desc");
    expect(stub.requests.map(({ url }) => url)).toEqual([
      "/v1/sessions?archived=false",
      "/v1/sessions?archived=false",
      "/v1/sessions?archived=true",
      "/v1/sessions?archived=all",
      "/v1/sessions?archived=false&limit=7&cursor=c%3D1&sort=updated&order=desc",
    ]);
  });

  it.each(["team", "=x", '{"a":{}}', '{"a":[1]}', "{oops"])("refuses the filter %s", async (filter) => {
    await using stub = await StubServer.start();
    const ran = await list(stub, "--metadata", filter);
    expect([ran.exitCode, ran.stdout, stub.requests]).toEqual([2, "", []]);
    expect(ran.stderr).toContain("--metadata must be KEY=VALUE");
  });

  it("with --all goes through all pages and writes the header once", async () => {
    await using stub = await StubServer.start();
    stub.intercept = (_method, url) =>
      url.includes("cursor=next")
        ? { status: 200, body: { sessions: [session("b")], next_cursor: null } }
        : { status: 200, body: { sessions: [session("a")], next_cursor: "next" } };
    expect((await list(stub, "--all")).stdout).toBe(
      "ID  LAST SEQ  CHANGED                   TITLE\n" +
        "a   1         2030-01-01T00:00:00.000Z  About a\n" +
        "b   1         2030-01-01T00:00:00.000Z  About b\n",
    );
    const first = await list(stub);
    expect(first.stderr).toBe("daybook: there are more: add --cursor next, or --all\n");
  });
});
