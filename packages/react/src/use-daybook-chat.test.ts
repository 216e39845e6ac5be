import { type Client, Page } from "./page.test.support.js";
import { DaybookError, memoryStore, type SessionEvent } from "@daybook/client";
import { answer, beginning, ENDING, eventually, words } from "@daybook/test-kit";
import { lastAssistantMessageIsCompleteWithToolCalls, type UIMessage, type UIMessageChunk } from "ai";
import * as React from "react";
import * as client from "react-dom/client";
import * as dom from "react-dom/server";
import { describe, expect, test, vi } from "vitest";
import type { ChatOptions } from "./chat-types.js";
import { loadChat } from "./load-chat.js";
import { said, textOf } from "./session-events.test.support.js";
import { SessionPerTest } from "./session-per-test.test.support.js";
import { type DaybookChat, useDaybookChat } from "./use-daybook-chat.js";

type Chat = DaybookChat<UIMessage>;

const CALL: readonly UIMessageChunk[] = [
  { type: "start", messageId: "a1" },
  { type: "start-step" },
  { type: "tool-input-available", toolCallId: "t", toolName: "locate", input: {} },
  { type: "finish-step" },
  { type: "finish" },
];

const at = new SessionPerTest();

/** A chat in a page, once it is open. */
async function openChat(client_: Client, options: Partial<ChatOptions<UIMessage>> = {}): Promise<Page<Chat>> {
  const session = options.session ?? (await client_.session(at.id));
  const use = (): Chat => useDaybookChat({ ...options, session });
  const page = new Page({ name: "19", React, client, server: dom }, use).open();
  await page.until("it is open", ({ isLoading }) => !isLoading);
  return page;
}

describe("asking", () => {
  test("again takes the question's place for every reader, and stops an answer that is being written", async () => {
    const says = await at.agent();
    using chat = await openChat(at.here);
    using other = await openChat(at.there);
    await chat.now.sendMessage({ text: "Hi" });
    await says(...beginning("a1"), ...words("Go "));
    await chat.until("it is written", ({ status }) => status === "streaming");
    await chat.now.regenerate();
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop", "chat.user.message"]);
    await chat.until("it is asked again", (now) => said(now).join() === "user: Hi");
    await says({ type: "abort" }, ...answer("a2", "Hello!"));
    await chat.until("another answer", (now) => said(now)[1] === "assistant: Hello!");
    const [question] = chat.now.messages;
    await chat.now.sendMessage({ text: "Ho", messageId: question?.id ?? "" });
    await says(...answer("a3", "Ho ho!"));
    for (const page of [chat, other])
      await page.until("yet another", (now) => said(now).join() === "user: Ho,assistant: Ho ho!");
    expect(chat.now.messages[0]?.id).toBe(question?.id);
    expect((await at.types()).filter((type) => type === "chat.stop")).toHaveLength(1);
  });

  test("what cannot be asked is refused, and nothing is sent", async () => {
    using chat = await openChat(at.here);
    await expect(chat.now.regenerate()).rejects.toThrow("no question");
    await expect(chat.now.sendMessage({ text: "Ho", messageId: "nobody" })).rejects.toThrow("nobody");
    expect(await at.types()).toEqual([]);
  });

  test("goes into the event with what the agent is to know beside it", async () => {
    using chat = await openChat(at.here);
    await chat.now.sendMessage(
      { text: "Hi", files: [{ type: "file", mediaType: "text/plain", url: "data:," }], metadata: { a: 1 } },
      { body: { model: "small" }, metadata: { b: 2 } },
    );
    const [event] = await at.server.allEvents(at.id);
    const { message } = event?.payload as { message: UIMessage };
    expect(message).toMatchObject({ role: "user", metadata: { a: 1 } });
    expect(message.parts).toMatchObject([{ type: "file" }, { type: "text", text: "Hi" }]);
    expect(event).toMatchObject({ metadata: { body: { model: "small" }, request: { b: 2 } } });
    await chat.until("it is there", (now) => !now.originOf(message).isPending);
    expect(chat.now.originOf(message)).toMatchObject({ actor: "user:alice", seq: 1, isPending: false });
  });

  test("is refused: the error is shown, and cleared; the next goes through", async () => {
    const onError = vi.fn();
    using chat = await openChat(at.here, { onError });
    await chat.now.sendMessage({ text: "x".repeat(2 ** 20) });
    await chat.until("it says so", ({ status, error }) => status === "error" && error !== undefined);
    expect(onError).toHaveBeenCalledExactlyOnceWith(chat.now.error);
    chat.now.clearError();
    await chat.until("it is over", ({ status, messages }) => status === "ready" && messages.length === 0);
    await chat.now.sendMessage({ text: "Hi" });
    await chat.until("it is there", ({ messages }) => messages.length === 1);
    expect(await at.types()).toEqual(["chat.user.message"]);
  });

  test("behind what was refused is refused as well, and gone with it", async () => {
    using chat = await openChat(at.here);
    await chat.now.sendMessage({ text: "x".repeat(2 ** 20) });
    await chat.until("it says so", ({ status }) => status === "error");
    await chat.now.sendMessage({ text: "And?" });
    await chat.until(
      "this too",
      ({ error }) => error instanceof DaybookError && error.code === "outbox_paused",
    );
    chat.now.clearError();
    await chat.until("it is over", ({ status, messages }) => status === "ready" && messages.length === 0);
    await chat.now.sendMessage({ text: "Hi" });
    await chat.until("it is there", (now) => said(now).join() === "user: Hi");
    expect(await at.types()).toEqual(["chat.user.message"]);
  });

  test("needs a session: without one nothing is shown as if it were sent", async () => {
    using page = new Page({ name: "19", React, client, server: dom }, () =>
      useDaybookChat({ session: undefined, messages: [], initialEvents: [] }),
    ).open();
    await page.until("it is there", ({ isLoading }) => !isLoading);
    await expect(page.now.sendMessage({ text: "Hi" })).rejects.toThrow("no session yet");
    page.again();
    expect(page.now).toMatchObject({ messages: [], status: "ready" });
  });

  test("stays asked over a reload, when it could not be sent before", async () => {
    const store = memoryStore();
    const [offline, online] = [at.here.with({ store, isOffline: true }), at.here.with({ store })];
    // Bound by a token, as a browser is: that takes no call.
    const token = await at.here.daybook.token({ id: at.id, identity: at.here.daybook.user({ id: "alice" }) });
    {
      const session = offline.daybook.session({ token });
      const chat = await openChat(offline, { session, messages: [], initialEvents: [], cursor: 0 });
      void chat.now.sendMessage({ text: "Is anybody there?" });
      await chat.until("it is shown", (now) => now.messages.length === 1 && now.status === "submitted");
      expect(chat.now.originOf({ id: chat.now.messages[0]?.id ?? "" })).toMatchObject({ isPending: true });
      chat[Symbol.dispose]();
      await offline[Symbol.asyncDispose]();
    }
    expect(await at.types()).toEqual([]);
    using chat = await openChat(online, { session: online.daybook.session({ token }) });
    await chat.until("it is shown", ({ messages }) => messages.length === 1);
    await eventually("it is sent", async () => (await at.types()).length === 1);
    await chat.until("once", (now) => now.messages.every((message) => !now.originOf(message).isPending));
    expect(said(chat.now)).toEqual(["user: Is anybody there?"]);
    await online[Symbol.asyncDispose]();
  });
});

describe("tools on the user's side", () => {
  test("run in the tab that asked, and the answer goes on in the same message", async () => {
    const says = await at.agent();
    const [onToolCall, elsewhere] = [vi.fn(), vi.fn()];
    using chat = await openChat(at.here, {
      onToolCall,
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    });
    using other = await openChat(at.there, {
      onToolCall: elsewhere,
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    });
    await chat.now.sendMessage({ text: "Where am I?" });
    await says(...CALL);
    await chat.until("it is called", () => onToolCall.mock.calls.length === 1);
    expect(onToolCall.mock.calls[0]?.[0]).toMatchObject({
      toolCall: { toolName: "locate", toolCallId: "t" },
    });
    await chat.until("it waits", ({ status }) => status === "ready");
    await chat.now.addToolOutput({ tool: "locate" as never, toolCallId: "t", output: "Bern" });
    await eventually("it is sent back", async () => (await at.types()).length === 2);
    await says(
      { type: "start", messageId: "a1" },
      { type: "start-step" },
      { type: "text-start", id: "0" },
      ...words("In Bern."),
      ...ENDING,
    );
    for (const page of [chat, other])
      await page.until(
        "it is whole",
        (now) => now.status === "ready" && said(now)[1] === "assistant: In Bern.",
      );
    expect(JSON.parse(JSON.stringify(chat.now.messages))).toEqual(
      JSON.parse(JSON.stringify(other.now.messages)),
    );
    expect(chat.now.messages[1]?.parts).toMatchObject([
      { type: "step-start" },
      { type: "tool-locate", state: "output-available", output: "Bern" },
      { type: "step-start" },
      { type: "text", text: "In Bern." },
    ]);
    expect(elsewhere).not.toHaveBeenCalled();
    expect(await at.types()).toEqual(["chat.user.message", "chat.user.message"]);
  });

  test("that ask first are approved", async () => {
    const says = await at.agent();
    using chat = await openChat(at.here, {
      sendAutomaticallyWhen: ({ messages }) =>
        messages.at(-1)?.parts.some((part) => "state" in part && part.state === "approval-responded") ===
        true,
    });
    await chat.now.sendMessage({ text: "Delete it." });
    await says(
      { type: "start", messageId: "a1" },
      { type: "start-step" },
      { type: "tool-input-available", toolCallId: "t", toolName: "remove", input: { path: "x" } },
      { type: "tool-approval-request", approvalId: "ok?", toolCallId: "t" },
      { type: "finish-step" },
      { type: "finish" },
    );
    await chat.until("it asks", ({ status, messages }) => status === "ready" && messages.length === 2);
    await chat.now.addToolApprovalResponse({ id: "ok?", approved: true });
    await eventually("it is said", async () => (await at.types()).length === 2);
    const last = (await at.server.allEvents(at.id)).at(-1)?.payload as { message: UIMessage };
    expect(last.message).toMatchObject({
      id: "a1",
      role: "assistant",
      parts: [
        { type: "step-start" },
        { state: "approval-responded", approval: { id: "ok?", approved: true } },
      ],
    });
    await says(
      { type: "start", messageId: "a1" },
      { type: "tool-output-available", toolCallId: "t", output: "gone" },
      { type: "finish" },
    );
    await chat.until("it is done", ({ messages }) => {
      const part = messages[1]?.parts[1];
      return part !== undefined && "output" in part && part.output === "gone";
    });
  });
});

describe("what happens is called back", () => {
  test("data, the end, and errors; but nothing that had happened before", async () => {
    const says = await at.agent();
    await says({ type: "start", messageId: "a0" }, { type: "data-n", data: 0 }, { type: "finish" });
    const [onData, onFinish, onError] = [vi.fn(), vi.fn(), vi.fn()];
    using chat = await openChat(at.here, { onData, onFinish, onError });
    await chat.now.sendMessage({ text: "Hi" });
    await says({ type: "start", messageId: "a1" }, { type: "data-n", data: 1 }, { type: "finish" });
    await eventually("it has ended", () => onFinish.mock.calls.length === 1);
    expect(onData).toHaveBeenCalledExactlyOnceWith({ type: "data-n", data: 1 });
    expect(onFinish.mock.calls[0]?.[0]).toMatchObject({
      message: { id: "a1" },
      isAbort: false,
      isError: false,
    });
    await says({ type: "start", messageId: "a2" }, { type: "error", errorText: "Tired." });
    await chat.until("it failed", ({ status, error }) => status === "error" && error?.message === "Tired.");
    await eventually("it is told", () => onError.mock.calls.length === 1 && onFinish.mock.calls.length === 2);
    chat.now.clearError();
    await chat.until("it is cleared", ({ status, error }) => status === "ready" && error === undefined);
  });
});

describe("stop", () => {
  test("before anything is written: nobody waits any more, in any tab", async () => {
    using chat = await openChat(at.here);
    using other = await openChat(at.there);
    await chat.now.stop();
    expect(await at.types()).toEqual([]);
    await chat.now.sendMessage({ text: "Hi" });
    await other.until("it waits", ({ status }) => status === "submitted");
    await other.now.stop();
    for (const page of [chat, other])
      await page.until("it is over", ({ status, messages }) => status === "ready" && messages.length === 1);
    expect(await at.types()).toEqual(["chat.user.message", "chat.stop"]);
  });

  test("of one agent leaves the other writing", async () => {
    const [a, b] = [await at.agent("a"), await at.agent("b")];
    const session = await at.here.session(at.id);
    using chat = await openChat(at.here, { session });
    await chat.now.sendMessage({ text: "Hi" });
    await a(...beginning("a1"), ...words("One "));
    await b(...beginning("b1"), ...words("Uno "));
    await chat.until("both write", ({ messages }) => messages.length === 3);
    await session.append({ type: "chat.stop", payload: { kind: "chat.stop", actor: "agent:a" } });
    await eventually("it is read", () => chat.now.cursor === session.cursor && session.cursor >= 8);
    expect(chat.now.status).toBe("streaming");
    await b(...words("due"), ...ENDING);
    await chat.until("all have ended", ({ status }) => status === "ready");
    expect(said(chat.now)).toEqual(["user: Hi", "assistant: One ", "assistant: Uno due"]);
  });
});

describe("setMessages", () => {
  test("is for this page alone, and what comes later is added", async () => {
    const says = await at.agent();
    using chat = await openChat(at.here);
    using other = await openChat(at.there);
    await chat.now.sendMessage({ text: "Hi" });
    await says(...answer("a1", "Hello!"));
    await chat.until("it is answered", ({ messages, status }) => messages.length === 2 && status === "ready");
    chat.now.setMessages((messages) => messages.slice(1));
    await chat.until("one is gone", (now) => said(now).join() === "assistant: Hello!");
    await says(...answer("a2", "Still there?"));
    await chat.until("the next", (now) => said(now).join() === "assistant: Hello!,assistant: Still there?");
    await other.until("the next", ({ messages }) => messages.length === 3);
  });
});

describe("the cost of an event", () => {
  test("does not grow with the history: nothing of that is looked at again", async () => {
    const says = await at.agent();
    const session = await at.here.session(at.id);
    for (let n = 0; n < 40; n++) {
      const message = { id: `u${n}`, role: "user", parts: [{ type: "text", text: `Question ${n}` }] };
      await session.append({ type: "chat.user.message", payload: { kind: "chat.user.message", message } });
      await says(...answer(`a${n}`, "One two three."));
    }
    const { initialEvents, messages } = await loadChat(session, { pageEvents: 1_000 });
    expect(messages).toHaveLength(80);
    let looks = 0;
    const watched = initialEvents.map((event) => counting(event, () => looks++));
    using chat = await openChat(at.here, { session, initialEvents: watched });
    await chat.until("it is read", (now) => now.messages.length === 80 && now.connection === "live");
    const before = chat.now.messages;
    expect(looks).toBeGreaterThan(initialEvents.length);

    looks = 0;
    await says(...beginning("new"), ...words("One two three four five"));
    await chat.until("it is written", ({ messages: now }) => textOf(now[80]) === "One two three four five");
    await says(...ENDING);
    await chat.until("it is whole", ({ status }) => status === "ready");
    expect(looks).toBe(0);
    for (const [n, message] of before.entries()) expect(chat.now.messages[n]).toBe(message);
  });
});

/** An event, and all that is in it, that tells whenever somebody looks. */
function counting<Value extends SessionEvent | object>(value: Value, looked: () => void): Value {
  return new Proxy(value, {
    get: (target, key) => {
      looked();
      const member: unknown = Reflect.get(target, key);
      return typeof member === "object" && member !== null ? counting(member, looked) : member;
    },
  });
}
