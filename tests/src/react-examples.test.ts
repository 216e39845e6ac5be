import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Daybook, type Session } from "@daybook/client";
import { eventually, startServer, type TestServer } from "@daybook/test-kit";
import "fake-indexeddb/auto";
import { Window } from "happy-dom";
import type { ComponentType } from "react";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const folder = `${repository}tests/dist/react-examples`;

/** Where the types of each major of the AI SDK are, and of the `useChat` that goes with it. */
const MAJORS = [
  ["5", "ai-v5/dist/index.d.ts", "ai-sdk-react-v2/dist/index.d.ts"],
  ["6", "ai/dist/index.d.ts", "@ai-sdk/react/dist/index.d.ts"],
  ["7", "ai-v7/dist/index.d.ts", "ai-sdk-react-v4/dist/index.d.ts"],
] as const;

interface Example {
  readonly where: string;
  readonly module: string;
}

function readmeExamples(): Example[] {
  const readme = readFileSync(`${repository}packages/react/README.md`, "utf8");
  return [...readme.matchAll(/```tsx\n(.*?)```/gs)].map(([, module = ""], index) => ({
    where: `README.md ${index + 1}`,
    module: module
      .replace("http://127.0.0.1:4000", "${SERVER}")
      .replace('"${SERVER}"', "process.env.EXAMPLE_SERVER!"),
  }));
}

/** What stands under `@example` in a docstring is the inside of a component. */
function docstringExamples(): Example[] {
  const root = `${repository}packages/react/src/`;
  const files = readdirSync(root).filter((file) => file.endsWith(".ts") && !file.includes(".test."));
  return files.flatMap((file) =>
    [...readFileSync(root + file, "utf8").matchAll(/\* @example\n((?:\s*\*(?!\/)(?! @).*\n)+)/g)].map(
      ([, lines = ""], index) => ({
        where: `${file} ${index + 1}`,
        module: `
import type { Daybook, Session } from "@daybook/client";
import * as daybookReact from "@daybook/react";
import { useChat } from "@ai-sdk/react";
declare const daybook: Daybook, session: Session, token: string, refreshToken: () => Promise<string>;
${/\btransport = /.test(lines) ? "" : "declare const transport: daybookReact.DaybookChatTransport;"}
declare const { loadChat, useChatSync, useDaybookChat, useOpenSession, useSession, DaybookChatTransport }: typeof daybookReact;
{
${lines.replace(/^\s*\* ?/gm, "")}
}
export {};`,
      }),
    ),
  );
}

/** What apps do with the package, that the examples do not show. */
const USES = `
import type { Session, SessionEvent } from "@daybook/client";
import { DaybookChatTransport, loadChat, useChatSync, useDaybookChat, useSession } from "@daybook/react";
import { Chat, useChat } from "@ai-sdk/react";
import type { ChatTransport, UIMessage } from "ai";

interface Own extends UIMessage<{ model: string }, { progress: number }> {}
declare const session: Session;

export const transport: ChatTransport<Own> = new DaybookChatTransport<Own>({ session: () => Promise.resolve(session) });
export const chat = new Chat<Own>({ transport });

export function Uses() {
  const own = useDaybookChat<Own>({
    session,
    generateId: () => "id",
    onData: (part) => void part.type,
    onToolCall: ({ toolCall }) => void toolCall.toolName,
    onFinish: ({ message, isAbort }) => void [message.metadata?.model, isAbort],
    sendAutomaticallyWhen: ({ messages }) => messages.length > 1,
  });
  const model: string | undefined = own.messages[0]?.metadata?.model;
  void own.sendMessage({ text: "Hi", metadata: { model: "small" } }, { body: { temperature: 1 } });
  void own.regenerate({ messageId: "m" });
  void own.addToolOutput({ tool: "t", toolCallId: "c", output: 1 } as never);
  own.setMessages((messages) => messages.slice(1));
  const { actor, isPending } = own.originOf({ id: "m" });
  const used = useChat<Own>({ chat });
  useChatSync<Own>(used, { session });
  const { events, append } = useSession({ session, initialEvents: [], cursor: 3 });
  const newest: SessionEvent | undefined = events.at(-1);
  void append({ text: "Hi", expectedSeq: 3 }).then(({ seq }) => seq + 1);
  void loadChat<Own>(session, { pageEvents: 10 }).then(({ messages }) => messages[0]?.metadata?.model);
  // @ts-expect-error there is no such message
  void own.sendMessage({ words: "Hi" });
  // @ts-expect-error it has to be said which session
  useSession({});
  // @ts-expect-error this is no session
  new DaybookChatTransport({ session: "support-1" });
  return [model, actor, isPending, newest];
}`;

const examples = [...readmeExamples(), ...docstringExamples()];
const modules = [...examples, { where: "what apps do", module: USES }];
const files = modules.map((_, index) => `${folder}/example-${index}.tsx`);

/** What all majors read alike is parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>();

function compile(ai: string, useChat: string): ts.Program {
  const at = (path: string): string[] => [`${repository}node_modules/${path}`];
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    jsx: ts.JsxEmit.ReactJSX,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    types: ["node"],
    strict: true,
    skipLibCheck: false,
    outDir: folder,
    paths: { ai: at(ai), "@ai-sdk/react": at(useChat) },
  };
  const host = ts.createCompilerHost(options);
  const parse = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => {
    if (!parsed.has(name)) parsed.set(name, parse(name, ...rest));
    return parsed.get(name);
  };
  return ts.createProgram(files, options, host);
}

describe("the examples of @daybook/react", () => {
  beforeAll(() => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [index, file] of files.entries()) writeFileSync(file, modules[index]?.module ?? "");
  });

  test("are there", () => {
    expect(readmeExamples().length).toBeGreaterThan(3);
    expect(docstringExamples().length).toBeGreaterThan(5);
  });

  test.each(MAJORS)("have the right types with the AI SDK %s, and so has the package", (_, ai, useChat) => {
    const program = compile(ai, useChat);
    // The package's own declarations too. Those of others are not looked at, which saves most of the time.
    const own = program
      .getSourceFiles()
      .filter(({ fileName }) => /tests\/dist\/|packages\/react\/dist\//.test(fileName))
      .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]);
    expect(program.getSourceFiles().some(({ fileName }) => fileName.endsWith(ai))).toBe(true);
    const shown = own.map(({ file, messageText }) => {
      const index = files.indexOf(file?.fileName ?? "");
      return `${modules[index]?.where ?? file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
    expect(shown).toEqual([]);
  });

  describe("in a page", () => {
    let server: TestServer;
    let daybook: Daybook;
    const realFetch = globalThis.fetch;
    beforeAll(async () => {
      server = await startServer({ store: "memory" });
      daybook = new Daybook({ baseUrl: server.url, WebSocket });
      const { document, navigator, ...window } = openWindow();
      const fetchToken = (url: string): Promise<Response> =>
        daybook
          .token({ id: url.slice("/token/".length), identity: daybook.user({ id: "alice" }) })
          .then((token) => new Response(token));
      const fetch: typeof globalThis.fetch = (url, init) =>
        typeof url === "string" && url.startsWith("/token/") ? fetchToken(url) : realFetch(url, init);
      Object.assign(globalThis, { ...window, document, navigator, fetch, WebSocket });
      process.env["EXAMPLE_SERVER"] = server.url;
      compile(MAJORS[1][1], MAJORS[1][2]).emit();
    });
    afterAll(async () => {
      delete process.env["EXAMPLE_SERVER"];
      globalThis.fetch = realFetch;
      await daybook.close({ timeoutMs: 0 });
      await server[Symbol.asyncDispose]();
    });

    test.each([
      [1, "user: Hello!", "Older messages"],
      [2, "user: Hello!", "Say hello"],
      [3, 'user:alice: {"kind":"chat.user.message"', "Checked"],
      [4, "user", ""],
    ])("README.md %i shows what is in the session", async (number, said, offered) => {
      const id = await server.create({ id: `example-${number}` });
      const session: Session = await daybook.session({ id, identity: daybook.user({ id: "alice" }) });
      // A long past, so that there are older messages.
      for (let n = 0; n < 450; n += 50)
        await session.appendAll(Array.from({ length: 50 }, () => ({ text: "before" })));
      const message = { id: "m1", role: "user", parts: [{ type: "text", text: "Hello!" }] };
      await session.append({ type: "chat.user.message", payload: { kind: "chat.user.message", message } });
      const example = (await import(pathToFileURL(`${folder}/example-${number - 1}.js`).href)) as {
        readonly load?: (session: Session) => Promise<object>;
      } & Record<string, ComponentType<object>>;
      const Component = example["Chat"] ?? example["Notes"];
      if (Component === undefined) throw new Error("The example exports no component.");
      const { createElement } = await import("react");
      const { createRoot } = await import("react-dom/client");
      const page = globalThis as unknown as Window;
      const container = page.document.createElement("div");
      const root = createRoot(container);
      root.render(createElement(Component, { id, session, loaded: await example.load?.(session) } as object));
      await eventually("it is shown", () => container.textContent.includes(said));
      expect(container.textContent).toContain(offered);
      root.unmount();
    });
  });
});

/** React looks for these when it is loaded, so that comes later. */
function openWindow(): { document: unknown; navigator: unknown } {
  const window = new Window({ url: "http://localhost/" });
  return { window, document: window.document, navigator: window.navigator } as never;
}
