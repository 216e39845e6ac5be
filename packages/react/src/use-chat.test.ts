import { Client, Page } from "./page.test.support.js";
import { useChat as useChatV6 } from "@ai-sdk/react";
import { memoryStore, type Session } from "@daybook/client";
import { answer, beginning, ENDING, eventually, words } from "@daybook/test-kit";
import { lastAssistantMessageIsCompleteWithToolCalls, type UIMessage, type UIMessageChunk } from "ai";
import { useChat as useChatV5 } from "ai-sdk-react-v2";
import { useChat as useChatV7 } from "ai-sdk-react-v4";
import * as React from "react";
import * as client from "react-dom/client";
import * as dom from "react-dom/server";
import { describe, expect, test } from "vitest";
import { DaybookChatTransport } from "./daybook-chat-transport.js";
import { said } from "./session-events.test.support.js";
import { SessionPerTest } from "./session-per-test.test.support.js";
import { type ChatSync, useChatSync } from "./use-chat-sync.js";

const VERSIONS = [
  ["5", useChatV5 as unknown as typeof useChatV6],
  ["6", useChatV6],
  ["7", useChatV7 as unknown as typeof useChatV6],
] as const;

type Chat = ReturnType<typeof useChatV6>;

const at = new SessionPerTest();

/** Asks as soon as the chat is there, and waits until that is in the session, of which it is the first event. */
async function ask(
  chat: Page<Chat>,
  text: string,
  options?: Parameters<Chat["sendMessage"]>[1],
): Promise<void> {
  await chat.until("it is there", ({ status }) => status === "ready");
  void chat.now.sendMessage({ text }, options);
  await eventually("it is sent", async () => (await at.types()).length === 1);
}

describe.each(VERSIONS)("useChat of the AI SDK %s through a session", (_, useChat) => {
  const open = <Value>(use: () => Value): Page<Value> =>
    new Page({ name: "19", React, client, server: dom }, use).open();
  const openChat = (session: Session, options: Partial<Parameters<typeof useChatV6>[0]> = {}): Page<Chat> => {
    const transport = new DaybookChatTransport({ session });
    return open(() => useChat({ transport, ...options }));
  };
  const openSynced = (session: Session, more = {}): Page<Chat & ChatSync<UIMessage>> => {
    const transport = new DaybookChatTransport({ session });
    return open(() => {
      const chat = useChat({ transport });
      return { ...chat, ...useChatSync(chat, { session, ...more }) };
    });
  };

  test("sends, and shows the answer as it is written", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    using chat = openChat(session);
    await ask(chat, "Hi", { body: { model: "small" } });
    expect(chat.now.status).toBe("submitted");
    await says(...beginning("a1"), ...words("One two "));
    await chat.until(
      "two words",
      (now) => now.status === "streaming" && said(now)[1] === "assistant: One two ",
    );
    await says(...words("three"), ...ENDING);
    await chat.until("it is whole", ({ status }) => status === "ready");
    expect(said(chat.now)).toEqual(["user: Hi", "assistant: One two three"]);
    expect(chat.now.messages[1]?.id).toBe("a1");
    const [question] = await at.server.allEvents(at.id);
    expect(question).toMatchObject({
      actor: "user:alice",
      payload: { kind: "chat.user.message", message: { id: chat.now.messages[0]?.id, role: "user" } },
      metadata: { body: { model: "small" } },
    });
  });

  test("goes on with an answer after a reload", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    {
      using chat = openChat(session);
      await ask(chat, "First");
      await says(...answer("a1", "One."));
      await chat.until("it is whole", ({ status }) => status === "ready");
    }
    await session.append({
      type: "chat.user.message",
      payload: {
        kind: "chat.user.message",
        message: { id: "u2", role: "user", parts: [{ type: "text", text: "Second" }] },
      },
    });
    await says(...beginning("a2"), ...words("Two three "));
    const next = await new Client(at.server).session(at.id);
    const transport = new DaybookChatTransport({ session: next });
    const messages = await transport.loadMessages();
    expect(said({ messages })).toEqual(["user: First", "assistant: One.", "user: Second"]);
    using chat = openChat(next, { messages, resume: true });
    await chat.until(
      "it goes on",
      (now) => now.status === "streaming" && said(now)[3] === "assistant: Two three ",
    );
    await says(...words("four"), ...ENDING);
    await chat.until("it is whole", ({ status }) => status === "ready");
    expect(said(chat.now)).toEqual([
      "user: First",
      "assistant: One.",
      "user: Second",
      "assistant: Two three four",
    ]);
    await next.close();
    // Nobody has stopped anything by looking.
    expect(await at.types()).toEqual(["chat.user.message", "chat.user.message"]);
  });

  test("has nothing to resume when all is answered, and when there is nothing at all", async () => {
    const says = await at.agent();
    const transport = new DaybookChatTransport({ session: await at.here.session(at.id) });
    expect(await transport.reconnectToStream({ chatId: at.id })).toBeNull();
    expect(await transport.loadMessages()).toEqual([]);
    await says(...answer("a1", "Hello!"));
    expect(await transport.reconnectToStream({ chatId: at.id })).toBeNull();
    expect(await transport.loadMessages()).toHaveLength(1);
  });

  test("stops: for everybody, and for good", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    using chat = openChat(session);
    await ask(chat, "Count.");
    await says(...beginning("a1"), ...words("One two "));
    await chat.until("it is written", (now) => said(now)[1] === "assistant: One two ");
    await chat.now.stop();
    await chat.until("it is stopped", ({ status }) => status === "ready");
    await eventually("it is in the log", async () => (await at.types()).includes("chat.stop"));
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop"]);
    await says({ type: "abort" });
    const transport = new DaybookChatTransport({ session });
    expect(said({ messages: await transport.loadMessages() })).toEqual(said(chat.now));
    expect(await transport.reconnectToStream({ chatId: at.id })).toBeNull();
  });

  test("a stop by somebody else ends it here too", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    using chat = openChat(session);
    await ask(chat, "Count.");
    await says(...beginning("a1"), ...words("One "));
    await chat.until("it is written", ({ status }) => status === "streaming");
    await new DaybookChatTransport({ session: await at.there.session(at.id) }).stop();
    await chat.until("it is stopped", ({ status }) => status === "ready");
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop"]);
  });

  test("asks anew: the message takes its old place in the log", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    using chat = openChat(session);
    await ask(chat, "Hi");
    await says(...answer("a1", "Go away."));
    await chat.until("it is whole", ({ status }) => status === "ready");
    void chat.now.regenerate();
    await eventually("it is asked again", async () => (await at.types()).length === 2);
    await says(...answer("a2", "Hello!"));
    await chat.until("another answer", (now) => said(now)[1] === "assistant: Hello!");
    const [question] = chat.now.messages;
    void chat.now.sendMessage({ text: "Ho", messageId: question?.id ?? "" });
    await eventually("it is edited", async () => (await at.types()).length === 3);
    await says(...answer("a3", "Ho ho!"));
    await chat.until("yet another", (now) => now.status === "ready" && said(now)[1] === "assistant: Ho ho!");
    expect(said(chat.now)).toEqual(["user: Ho", "assistant: Ho ho!"]);
    const messages = await new DaybookChatTransport({ session }).loadMessages();
    expect(messages.map((message) => message.id)).toEqual([question?.id, "a3"]);
    expect(said({ messages })).toEqual(said(chat.now));
    expect(await at.types()).not.toContain("chat.stop");
  });

  test("sends back what a tool in the browser has found, and the answer goes on in the same message", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    using chat = openChat(session, {
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    });
    await ask(chat, "Where am I?");
    await says(
      { type: "start", messageId: "a1" },
      { type: "start-step" },
      { type: "tool-input-available", toolCallId: "t", toolName: "locate", input: {} },
      { type: "finish-step" },
      { type: "finish" },
    );
    await chat.until("it asks", (now) => now.status === "ready" && now.messages.length === 2);
    await chat.now.addToolOutput({ tool: "locate" as never, toolCallId: "t", output: "Bern" });
    await eventually("it is sent back", async () => (await at.types()).length === 2);
    await says(
      { type: "start", messageId: "a1" },
      { type: "start-step" },
      { type: "text-start", id: "0" },
      ...words("In Bern."),
      ...ENDING,
    );
    await chat.until(
      "it is whole",
      (now) => now.status === "ready" && said(now)[1] === "assistant: In Bern.",
    );
    const parts = chat.now.messages[1]?.parts;
    expect(parts).toMatchObject([
      { type: "step-start" },
      { type: "tool-locate", state: "output-available", output: "Bern" },
      { type: "step-start" },
      { type: "text", text: "In Bern." },
    ]);
    const messages = await new DaybookChatTransport({ session }).loadMessages();
    expect(messages).toHaveLength(2);
    expect(messages[1]?.parts).toEqual(JSON.parse(JSON.stringify(parts)));
  });

  test("goes on after a reload with an answer that goes on with a message", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    const tool = { type: "tool-locate", toolCallId: "t", input: {} };
    const ask = (message: object): Promise<unknown> =>
      session.append({ type: "chat.user.message", payload: { kind: "chat.user.message", message } });
    await ask({ id: "u1", role: "user", parts: [{ type: "text", text: "Where am I?" }] });
    await says(
      { type: "start", messageId: "a1" },
      { type: "tool-input-available", toolCallId: "t", toolName: "locate", input: {} },
      { type: "finish" },
    );
    const found = { ...tool, state: "output-available", output: "Bern" };
    await ask({ id: "a1", role: "assistant", parts: [{ type: "text", text: "Let me see. " }, found] });
    await says({ type: "start", messageId: "a1" }, { type: "text-start", id: "0" }, ...words("In "));
    const transport = new DaybookChatTransport({ session });
    const messages = await transport.loadMessages();
    expect(said({ messages })).toEqual(["user: Where am I?"]);
    using chat = openChat(session, { messages, resume: true });
    await chat.until("it goes on", (now) => said(now)[1] === "assistant: Let me see. In ");
    await says(...words("Bern."), ...ENDING);
    await chat.until("it is whole", ({ status }) => status === "ready");
    expect(said(chat.now)).toEqual(["user: Where am I?", "assistant: Let me see. In Bern."]);
    expect(chat.now.messages[1]?.parts[1]).toMatchObject(found);
    expect(chat.now.messages.map((message) => message.id)).toEqual(["u1", "a1"]);
  });

  test("stops waiting while there is no network, and what was asked is stopped when there is", async () => {
    const store = memoryStore();
    const token = await at.here.daybook.token({ id: at.id, identity: at.here.daybook.user({ id: "alice" }) });
    const gate = at.here.with({ store, isOffline: true });
    const session = gate.daybook.session({ token });
    const chat = openChat(session);
    await chat.until("it is there", ({ status }) => status === "ready");
    void chat.now.sendMessage({ text: "Anybody?" });
    await chat.until("it is asked", ({ status }) => status === "submitted");
    await chat.now.stop();
    await chat.until("it is stopped", ({ status }) => status === "ready");
    expect(said(chat.now)).toEqual(["user: Anybody?"]);
    gate.isOffline = false;
    await eventually("it is stopped", async () => (await at.types()).length === 2);
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop"]);
    chat[Symbol.dispose]();
    await gate[Symbol.asyncDispose]();
  });

  test("with stopOnAbort off, a component that goes away stops nothing, and the transport does", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    const transport = new DaybookChatTransport({ session, stopOnAbort: false });
    {
      using chat = open(() => useChat({ transport }));
      await ask(chat, "Count.");
      await says(...beginning("a1"), ...words("One "));
      await chat.until("it is written", ({ status }) => status === "streaming");
      await chat.now.stop();
    }
    await says(...words("two "));
    expect(await at.types()).toEqual(["chat.user.message"]);
    await transport.stop();
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop"]);
  });

  test("shows what it was refused for, and the next message goes through", async () => {
    const session = await at.here.session(at.id);
    using chat = openChat(session);
    await chat.until("it is there", ({ status }) => status === "ready");
    await chat.now.sendMessage({ text: "x".repeat(2 ** 20) });
    await chat.until("it says so", ({ status, error }) => status === "error" && error !== undefined);
    expect(chat.now.error).toMatchObject({ status: 413 });
    void chat.now.sendMessage({ text: "Hi" });
    await eventually("the next is sent", async () => (await at.types()).length === 1);
    const says = await at.agent();
    await says(...answer("a1", "Hello!"));
    await chat.until(
      "it is answered",
      (now) => now.status === "ready" && said(now).at(-1) === "assistant: Hello!",
    );
  });

  test("with useChatSync two tabs show the same, whoever asks", async () => {
    const [says, adds] = [await at.agent("a"), await at.agent("b")];
    using one = openSynced(await at.here.session(at.id));
    using two = openSynced(await at.there.session(at.id));
    await one.until("it is open", ({ isLoading }) => !isLoading);
    await two.until("it is open", ({ isLoading }) => !isLoading);
    for (const [n, [asking, watching]] of (
      [
        [one, two],
        [two, one],
      ] as const
    ).entries()) {
      void asking.now.sendMessage({ text: `Question ${n}` });
      await watching.until("the question is seen", (now) => said(now).at(-1) === `user: Question ${n}`);
      await watching.until("it waits", ({ status }) => status === "submitted");
      await says(...beginning(`a${n}`), ...words("One two "));
      for (const tab of [asking, watching])
        await tab.until(
          "it is written",
          (now) => now.status === "streaming" && said(now).at(-1) === "assistant: One two ",
        );
      await says(...words("three"), ...ENDING);
      for (const tab of [asking, watching])
        await tab.until("it is whole", ({ status }) => status === "ready");
    }
    await adds(...answer("b1", "And four."));
    const whole = [
      "user: Question 0",
      "assistant: One two three",
      "user: Question 1",
      "assistant: One two three",
      "assistant: And four.",
    ];
    for (const tab of [one, two]) {
      await tab.until("both say it all", (now) => said(now).length === 5 && now.status === "ready");
      expect(said(tab.now)).toEqual(whole);
      // Nothing that was shown has gone away in between.
      const lengths = tab.renders.map(({ messages }) => messages.length);
      expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    }
    expect(await at.types()).toEqual(["chat.user.message", "chat.user.message"]);
  });

  test("with useChatSync either tab stops the answer, and older messages are loaded", async () => {
    const says = await at.agent();
    for (let n = 0; n < 20; n++) await says(...answer(`old${n}`, `Old ${n}`));
    const writer = await at.here.session(at.id);
    await writer.append({
      type: "chat.user.message",
      payload: {
        kind: "chat.user.message",
        message: { id: "u1", role: "user", parts: [{ type: "text", text: "Count." }] },
      },
    });
    await says(...beginning("a1"), ...words("One two "));
    using tab = openSynced(await at.there.session(at.id), { pageEvents: 8 });
    await tab.until(
      "it is written",
      (now) => now.status === "streaming" && said(now).at(-1) === "assistant: One two ",
    );
    expect(tab.now).toMatchObject({ hasOlder: true });
    await tab.now.loadOlder();
    await tab.until("older ones", ({ messages }) => messages.length > 2);
    while (tab.now.hasOlder) await tab.now.loadOlder();
    await tab.until("all", (now) => said(now)[0] === "assistant: Old 0");
    expect(tab.now.messages).toHaveLength(22);
    await tab.now.stop();
    await tab.until("it is stopped", ({ status }) => status === "ready");
    await eventually("it is in the log", async () => (await at.types()).includes("chat.stop"));
    await says(...words("three"), { type: "abort" });
    await tab.until("what was written stays", (now) => said(now).at(-1) === "assistant: One two three");
    expect(tab.now.status).toBe("ready");
  });
});

test("one transport may serve many chats, each in a session of its own", async () => {
  const asked: string[] = [];
  const transport = new DaybookChatTransport({
    session: (chatId) => {
      asked.push(chatId);
      if (asked.length === 1) throw new Error("not yet");
      return at.here.session(chatId);
    },
  });
  const send = (chatId: string, text: string): Promise<ReadableStream<UIMessageChunk>> =>
    transport.sendMessages({
      trigger: "submit-message",
      chatId,
      messageId: undefined,
      messages: [{ id: text, role: "user", parts: [{ type: "text", text }] }],
      abortSignal: undefined,
    });
  await expect(send("many-1", "Hi")).rejects.toThrow("not yet");
  await send("many-1", "Hi");
  await send("many-2", "Ho");
  await send("many-1", "Hm");
  expect(asked).toEqual(["many-1", "many-1", "many-2"]);
  expect((await at.server.allEvents("many-1")).length).toBe(2);
  expect((await at.server.allEvents("many-2")).length).toBe(1);
});
