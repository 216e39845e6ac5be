import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { Daybook, type Session } from "@daybook/client";
import { createClient } from "@daybook/client/conversations";
import { eventually, startServer, type TestServer } from "@daybook/test-kit";
import { simulateReadableStream } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const folder = `${repository}tests/dist/client-examples`;

interface Example {
  readonly where: string;
  readonly code: string;
}

/** What stands under `@example` in a docstring, up to the next tag or the end. */
function docstringExamples(): Example[] {
  const root = `${repository}packages/client/src/`;
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.includes(".test."),
  );
  return files.flatMap((file) =>
    [...readFileSync(root + file, "utf8").matchAll(/\* @example\n((?:\s*\*(?!\/)(?! @).*\n)+)/g)].map(
      ([, lines = ""], index) => ({
        where: `${file} ${index + 1}`,
        code: lines.replace(/^\s*\* ?/gm, ""),
      }),
    ),
  );
}

function readmeExamples(): Example[] {
  const readme = readFileSync(`${repository}packages/client/README.md`, "utf8");
  return [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""], index) => ({
    where: `README.md ${index + 1}`,
    code,
  }));
}

const examples = [...readmeExamples(), ...docstringExamples()];

const GIVEN = `
interface Given {
  daybook: Daybook;
  session: Session;
  model: LanguageModel;
  signal: AbortSignal;
  fetchToken(id: string): Promise<string>;
  client: ConversationsClient;
  convo: Conversation;
  memory: AgentState;
  message: UIMessage;
  completion: Completion;
  openai: { chat: { completions: { create(options: object): Promise<Completion> } } };
  useChat(options: { messages: UIMessage[] }): { messages: UIMessage[] };
}
interface Completion { choices: [{ message: { role: "assistant"; content: string } }] }`;
const NAMES = [...GIVEN.matchAll(/^ {2}(\w+)[:(]/gm)].map(([, name]) => name);

/** Around an example stand the names that it takes for granted. */
function moduleOf({ code }: Example): string {
  const imports = [...code.matchAll(/^import .*$/gm)].map(([line]) => line);
  const named = new Set(imports.flatMap((line) => [...line.matchAll(/[\w]+/g)].map(([name]) => name)));
  const given = (module: string, names: string[]): string => {
    const wanted = names.filter((name) => !named.has(name));
    return wanted.length === 0 ? "" : `import { ${wanted.join(", ")} } from "${module}";`;
  };
  return [
    given("@daybook/client", [
      "Daybook",
      "DaybookError",
      "type Session",
      "type AgentState",
      "indexedDbStore",
      "localStorageStore",
      "memoryStore",
    ]),
    given("@daybook/client/ai", ["recordStream", "runAgent", "readChat", "readMessages"]),
    given("@daybook/client/conversations", [
      "createClient",
      "type ConversationsClient",
      "type Conversation",
      "type OpeningConversation",
      "fromUIMessage",
      "toUIMessages",
      "fromOpenAIMessage",
      "toOpenAIMessages",
    ]),
    given("ai", [
      "streamText",
      "readUIMessageStream",
      "convertToModelMessages",
      "type LanguageModel",
      "type UIMessage",
    ]),
    given("ws", ["WebSocket"]),
    ...imports,
    GIVEN,
    `export default async ({ ${NAMES.join(", ")} }: Given) => {`,
    `{`,
    code
      .replace(/^import .*$/gm, "")
      .replaceAll("http://127.0.0.1:4000", "${SERVER}")
      .replaceAll('"${SERVER}"', "process.env.EXAMPLE_SERVER!"),
    `}`,
    `};`,
  ].join("\n");
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  types: ["node"],
  strict: true,
  skipLibCheck: true,
  outDir: folder,
};

describe("the examples of @daybook/client", () => {
  let server: TestServer;
  const files = examples.map((_, index) => `${folder}/example-${index}.ts`);
  let diagnostics: readonly ts.Diagnostic[];
  beforeAll(async () => {
    server = await startServer({ store: "memory" });
    process.env["EXAMPLE_SERVER"] = server.url;
    await server.create({ id: "support-1" });
    await server.fill("support-1", { to: 10 });
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [index, file] of files.entries()) writeFileSync(file, moduleOf(examples[index]!));
    const program = ts.createProgram(files, OPTIONS);
    diagnostics = ts.getPreEmitDiagnostics(program);
    program.emit();
  });
  afterAll(async () => {
    delete process.env["EXAMPLE_SERVER"];
    await server[Symbol.asyncDispose]();
  });

  test("are many", () => {
    expect(readmeExamples().length).toBeGreaterThan(6);
    expect(docstringExamples().length).toBeGreaterThan(15);
  });

  test.each(examples.map(({ where }, index) => [where, index] as const))(
    "%s has the right types",
    (_where, index) => {
      const own = diagnostics.filter(({ file }) => file?.fileName === files[index]);
      const shown = own.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
      expect(shown, readFileSync(files[index]!, "utf8")).toEqual([]);
    },
  );

  test("the README's first shows what it says", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    await using world = await newWorld(server);
    const { default: run } = (await import(pathToFileURL(`${folder}/example-0.js`).href)) as {
      default: (given: object) => Promise<void>;
    };
    await run(world.given);
    await eventually("both events are shown", () => log.mock.calls.length === 2);
    const shown = log.mock.calls.map((args) =>
      args.map((arg) => inspect(arg).replace(/^'(.*)'$/, "$1")).join(" "),
    );
    const readme = readFileSync(`${repository}packages/client/README.md`, "utf8");
    expect(readme).toContain("```text\n" + shown.join("\n") + "\n```");
    vi.restoreAllMocks();
  });

  test.each(examples.map(({ where }, index) => [where, index] as const))("%s runs", async (_where, index) => {
    vi.spyOn(console, "log").mockImplementation(() => undefined);
    await using world = await newWorld(server);
    const url = pathToFileURL(files[index]!.replace(/\.ts$/, ".js")).href;
    const { default: run } = (await import(url)) as { default: (given: object) => Promise<void> };
    // What follows for ever is as good as done when it has gone on for a while.
    await Promise.race([run(world.given), pause(2_500)]);
    vi.restoreAllMocks();
  });
});

/** What examples take for granted: a session with a few events, a model, a client. */
async function newWorld(server: TestServer): Promise<{ readonly given: object } & AsyncDisposable> {
  const daybook = new Daybook({ baseUrl: server.url, WebSocket });
  const identity = daybook.agent({ id: "drafter" });
  const session: Session = await daybook.session({ identity });
  await session.appendAll([{ text: "one" }, { text: "two" }]);
  const client = createClient({ baseUrl: server.url, WebSocket });
  const memory = daybook.agentState("default", "examples");
  // Examples speak of early commits.
  for (let n = 1; n <= 8; n++) await memory.transaction((tx) => tx.set(`notes/${n}`, { n }));
  const abort = new AbortController();
  const completion = { choices: [{ message: { role: "assistant", content: "Hello!" } }] };
  const given = {
    daybook,
    session,
    client,
    memory,
    convo: await client.conversation(session.id),
    model: scriptedModel(),
    signal: abort.signal,
    fetchToken: (id: string) => daybook.token({ id, identity }),
    message: { id: "m1", role: "user", parts: [{ type: "text", text: "Hello!" }] },
    completion,
    openai: { chat: { completions: { create: () => Promise.resolve(completion) } } },
    useChat: (options: object) => options,
  };
  return {
    given,
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      client[Symbol.dispose]();
      await daybook.close({ timeoutMs: 0 });
    },
  };
}

function scriptedModel(): MockLanguageModelV3 {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  return new MockLanguageModelV3({
    doStream: () =>
      Promise.resolve({
        stream: simulateReadableStream({
          chunks: [
            { type: "text-start", id: "t" },
            { type: "text-delta", id: "t", delta: "Hello!" },
            { type: "text-end", id: "t" },
            { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
          ],
        }),
      }),
  });
}
