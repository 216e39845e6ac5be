import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { eventually } from "@daybook/test-kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TestBrowser } from "./support/browser.js";
import { buildChatPage, ChatApp, ChatExample } from "./support/chat-app.js";
import { ChatPage } from "./support/chat-page.js";
import { fillChat } from "./support/fill-chat.js";
import { GatedModel } from "./support/gated-model.js";

/** The example, in a real browser. Its model says what a test says: so it is known what is the middle of an answer. */
let pageFolder: string;
let model: GatedModel;
let app: ChatApp;
let browser: TestBrowser;
const opened: AsyncDisposable[] = [];
const open = async <Part extends AsyncDisposable>(part: Promise<Part>): Promise<Part> => {
  opened.push(await part);
  return part;
};
const origins = new Set<string>();
/** What pages have thrown and nobody caught. */
const complaints: string[] = [];
beforeAll(async () => {
  [pageFolder, model] = await Promise.all([buildChatPage(), open(GatedModel.start())]);
  [app, browser] = await Promise.all([
    open(ChatApp.start(pageFolder, { OPENAI_BASE_URL: model.baseUrl })),
    open(TestBrowser.start()),
  ]);
  await isPerson(browser, "amber-heron-1");
  browser.context.on("weberror", (thrown) => complaints.push(String(thrown.error())));
  browser.context.on("request", (request) => origins.add(new URL(request.url()).origin));
});
afterAll(() => Promise.all(opened.map((part) => part[Symbol.asyncDispose]())));

/** The backend's cookie; without it, one is somebody by chance. */
const isPerson = (somebody: TestBrowser, id: string): Promise<void> =>
  // With an end to it, for else it goes with the last tab.
  somebody.context.addCookies([
    { name: "person", value: id, url: app.url, expires: Date.now() / 1_000 + 3_600 },
  ]);

/** The browser's own switch leaves sockets alone that are open: the network has to go as well. */
async function goOffline(): Promise<void> {
  app.cutNetwork();
  await browser.context.setOffline(true);
}
async function goOnline(): Promise<void> {
  app.mendNetwork();
  await browser.context.setOffline(false);
}

let chat: ChatPage;
beforeEach(async () => {
  await goOnline();
  await Promise.all(browser.context.pages().map((page) => page.close()));
  chat = await ChatPage.open(browser.context, await newChat());
});
afterEach(() => expect(complaints).toEqual([]));

/** A chat of a test's own. */
async function newChat(): Promise<string> {
  const headers = { cookie: "person=amber-heron-1" };
  const answer = await fetch(`${app.url}/api/chats`, { method: "POST", headers });
  return `${app.url}#${((await answer.json()) as { readonly id: string }).id}`;
}

/** Asks one agent, and lets it begin its answer. */
async function beginAnswer(): ReturnType<GatedModel["next"]> {
  await chat.ask("@scout Hello?");
  const answer = await model.next();
  answer.say("One, ");
  await chat.hears("Scout", "One,");
  return answer;
}

const HELLO = ["You: @scout Hello?", "Scout: One, two, three."];

/** Says the rest of it, which is then shown with what was said before, once. */
async function endHello(answer: Awaited<ReturnType<GatedModel["next"]>>): Promise<void> {
  answer.say("three.");
  answer.finish();
  await chat.isQuiet();
  expect(await chat.transcript()).toEqual(HELLO);
}

describe("an answer goes on, whatever becomes of who shows it", () => {
  test("when the page is loaded again", async () => {
    const answer = await beginAnswer();
    await chat.reload();
    await chat.hears("Scout", "One,");
    answer.say("two, ");
    await chat.hears("Scout", "One, two,");
    await endHello(answer);
  });

  test("when the tab is closed, and opened again once more of it was said", async () => {
    const answer = await beginAnswer();
    const { url, id } = chat;
    await chat.page.close();
    answer.say("two, ");
    await eventually("it is in the session", async () => (await saidIn(id)).endsWith("two, "));
    chat = await ChatPage.open(browser.context, url);
    await chat.hears("Scout", "One, two,");
    await endHello(answer);
  });

  test("when the server is killed, and starts again", async () => {
    const answer = await beginAnswer();
    await app.killServer();
    answer.say("two, ");
    await chat.is("offline");
    await app.startServerAgain();
    await chat.hears("Scout", "One, two,");
    await chat.is("live");
    await endHello(answer);
    expect(await saidIn(chat.id)).toBe("One, two, three.");
  });

  test("when the agents are killed: it is closed, and made again", async () => {
    await beginAnswer();
    await app.killAgents();
    await app.startAgents();
    const again = await model.next();
    again.say("Once more.");
    again.finish();
    await chat.hears("Scout", "Once more.");
    await chat.isQuiet();
    expect(await chat.transcript()).toEqual(["You: @scout Hello?", "Scout: One, ", "Scout: Once more."]);
    await chat.answers("Scout").first().getByText("stopped here").waitFor();
  });
});

describe("everybody sees the same", () => {
  test("two agents at once, two tabs, and two people in two browsers", async () => {
    await using other = await TestBrowser.start();
    await isPerson(other, "calm-ibis-2");
    const [tab, theirs] = await Promise.all([
      ChatPage.open(browser.context, chat.url),
      ChatPage.open(other.context, chat.url),
    ]);
    const all = [chat, tab, theirs];
    await chat.ask("Hello, both!");
    const [first, second] = [await model.next(), await model.next()];
    const scout = first.agent === "scout" ? first : second;
    const tally = first.agent === "scout" ? second : first;
    expect([scout.agent, tally.agent]).toEqual(["scout", "tally"]);
    // Each writes while the other has not ended.
    scout.say("I am ");
    await Promise.all(all.map((one) => one.hears("Scout", "I am")));
    tally.say("So ");
    await Promise.all(all.map((one) => one.hears("Tally", "So")));
    scout.say("Scout.");
    scout.finish();
    tally.say("am I.");
    tally.finish();
    await Promise.all(all.map((one) => one.isQuiet()));

    await theirs.ask("@tally And to me?");
    const toThem = await model.next();
    // What the other agent said is told to it as what it is.
    expect(JSON.stringify(toThem.messages)).toContain("Scout said: I am Scout.");
    toThem.say("To you too.");
    toThem.finish();
    await Promise.all(all.map((one) => one.hears("Tally", "To you too.")));
    const answers = ["Scout: I am Scout.", "Tally: So am I."];
    for (const one of [chat, tab])
      expect(sorted(await one.transcript())).toEqual(
        sorted(["You: Hello, both!", ...answers, "Calm Ibis: @tally And to me?", "Tally: To you too."]),
      );
    expect(sorted(await theirs.transcript())).toEqual(
      sorted(["Amber Heron: Hello, both!", ...answers, "You: @tally And to me?", "Tally: To you too."]),
    );
    expect(await tab.transcript()).toEqual(await chat.transcript());
  });

  test("what is written offline waits in sight, is sent once, and what came meanwhile is there", async () => {
    const tab = await beginAnswer();
    await goOffline();
    await chat.is("offline");
    await chat.ask("@tally Are you there?");
    await chat.page.getByText("waits to be sent").waitFor();
    expect(await chat.page.getByText("The agents are reading").count()).toBe(0);
    tab.say("two, three.");
    tab.finish();
    await eventually("the rest is in the session", async () => (await saidIn(chat.id)).endsWith("three."));
    expect(await chat.transcript()).toEqual([
      "You: @scout Hello?",
      "Scout: One, ",
      "You: @tally Are you there?",
    ]);
    await goOnline();
    const answer = await model.next();
    answer.say("I am.");
    answer.finish();
    await chat.hears("Tally", "I am.");
    await chat.is("live");
    expect(await chat.transcript()).toEqual([...HELLO, "You: @tally Are you there?", "Tally: I am."]);
    expect(await chat.page.getByText("waits to be sent").count()).toBe(0);
  });
});

describe("where it is shown", () => {
  test("fits a phone: chats come in from the side, nothing is wider than the screen", async () => {
    const answer = await beginAnswer();
    answer.say("`a-word-that-is-much-longer-than-any-phone-is-wide-".repeat(4) + "`");
    answer.finish();
    await chat.isQuiet();
    await chat.page.setViewportSize({ width: 360, height: 640 });
    expect(await chat.overflow()).toBeLessThanOrEqual(0);
    const chats = chat.page.getByRole("navigation", { name: "Chats" });
    await chats.waitFor({ state: "hidden" });
    await chat.press("Show the chats");
    await chats.getByRole("link", { name: "@scout Hello?" }).first().waitFor();
    await chat.page.keyboard.press("Escape");
    await chats.waitFor({ state: "hidden" });
    await chat.ask("@scout Fits?");
    const fits = await model.next();
    fits.say("It does.");
    fits.finish();
    await chat.hears("Scout", "It does.");
  });

  test("asks nobody but its backend and Daybook for anything", async () => {
    await chat.reload();
    await chat.is("live");
    expect([...origins].sort()).toEqual([new URL(app.url).origin, app.daybookUrl].sort());
  });
});

describe("what one can do", () => {
  test("stop: the model hears of it, and a page that is loaded again shows the same", async () => {
    const answer = await beginAnswer();
    await chat.press("Stop the answers");
    await eventually("the model is told", () => answer.isGivenUp);
    await chat.isQuiet();
    const before = await chat.transcript();
    expect(before).toEqual(["You: @scout Hello?", "Scout: One, "]);
    await chat.answers("Scout").getByText("stopped here").waitFor();
    await chat.reload();
    await chat.isQuiet();
    expect(await chat.transcript()).toEqual(before);
    await chat.answers("Scout").getByText("stopped here").waitFor();
  });

  test("have it answered again: the first answer goes, for everybody and after a reload", async () => {
    const answer = await beginAnswer();
    answer.finish();
    await chat.press("Answer again");
    const again = await model.next();
    again.say("Another one.");
    again.finish();
    await chat.hears("Scout", "Another one.");
    await chat.isQuiet();
    const after = ["You: @scout Hello?", "Scout: Another one."];
    expect(await chat.transcript()).toEqual(after);
    await chat.reload();
    await chat.isQuiet();
    expect(await chat.transcript()).toEqual(after);
  });

  test("stop before anything was said, and have it answered after all", async () => {
    await chat.ask("@scout Hello?");
    const answer = await model.next();
    await chat.press("Stop the answers");
    await eventually("the model is told", () => answer.isGivenUp);
    await chat.press("Answer again");
    const again = await model.next();
    again.say("Hello.");
    again.finish();
    await chat.hears("Scout", "Hello.");
  });

  test("learn that a chat is not there, and begin another one", async () => {
    await chat.page.goto(`${app.url}#chat_that_never_was`);
    await chat.page.getByRole("alert").filter({ hasText: "There is no such chat." }).waitFor();
    await chat.press("Begin a new one");
    await chat.is("live");
    expect(chat.id).toMatch(/^chat_/);
  });

  test("see that an answer failed, and say so to nobody what broke inside", async () => {
    const answer = await beginAnswer();
    answer.breakOff();
    await chat.page.getByRole("alert").filter({ hasText: "could not be finished" }).waitFor();
    await chat.press("All right");
    await chat.page.getByRole("alert").waitFor({ state: "detached" });
  });

  test("find chats by what was said first in them, and archive them", async () => {
    const answer = await beginAnswer();
    answer.finish();
    const link = chat.page.getByRole("link", { name: "@scout Hello?" });
    await link.first().waitFor();
    const { id } = chat;
    await chat.begin();
    await chat.page.locator(`a[href="#${id}"]`).click();
    await chat.hears("Scout", "One,");
    await chat.page.locator(`li:has(a[href="#${id}"])`).getByRole("button").click();
    await chat.page.locator(`a[href="#${id}"]`).waitFor({ state: "detached" });
    expect(chat.id).not.toBe(id);
  });

  test("see that a chat could not be archived, and why; it stays", async () => {
    const { id } = chat;
    const archive = chat.page.locator(`li:has(a[href="#${id}"])`).getByRole("button");
    const trouble = chat.page.getByRole("navigation").getByRole("alert");
    await chat.page.route("**/archive", (route) =>
      route.fulfill({ status: 503, json: { error: "The disk is full." } }),
    );
    await archive.click();
    await trouble.filter({ hasText: "The chat was not archived. The disk is full." }).waitFor();
    await chat.page.unroute("**/archive");
    await chat.page.route("**/archive", (route) => route.abort());
    await archive.click();
    await trouble.filter({ hasText: "The backend cannot be reached." }).waitFor();
    await chat.press("All right");
    await trouble.waitFor({ state: "detached" });
    expect(chat.id).toBe(id);
  });

  test("see that a new chat could not be made, and why; the next try makes one", async () => {
    const { id } = chat;
    const trouble = chat.page.getByRole("main").getByRole("alert");
    await chat.page.route("**/api/chats", (route) =>
      route.request().method() === "POST"
        ? route.fulfill({ status: 503, json: { error: "The disk is full." } })
        : route.continue(),
    );
    await chat.press("New chat");
    await trouble.filter({ hasText: "No chat was made. The disk is full." }).waitFor();
    expect(chat.id).toBe(id);
    await chat.page.unroute("**/api/chats");
    await chat.press("New chat");
    await trouble.waitFor({ state: "detached" });
    await eventually("it is shown", () => chat.id !== id);
  });
});

describe("a chat of 5,000 messages, 100,000 of whose events are chunks", () => {
  const [messages, chunks] = [5_000, 40];
  const id = "chat_long";
  beforeAll(() => fillChat(app, { id, messages, chunks }));

  test("shows its newest messages in less than a second", async () => {
    await chat.page.goto(`${app.url}#${id}`);
    // The whole page, from nothing. Whatever else this machine is at: once in a while it has the time.
    const took: number[] = [];
    while (took.length < 5 && !took.some((ms) => ms < 1_000)) {
      await chat.reload();
      took.push(await chat.shownAfterMs(`Answer ${messages / 2}:`));
    }
    expect(Math.min(...took)).toBeLessThan(1_000);
  });

  test("scrolls back, and what one reads stays where it is", async () => {
    await chat.page.goto(`${app.url}#${id}`);
    await chat
      .answers("Scout")
      .filter({ hasText: `Answer ${messages / 2}:` })
      .waitFor();
    for (let pages = 0; pages < 4; pages++) {
      const before = await chat.questions();
      const moved = await chat.scrollToTop();
      expect(Math.abs(moved)).toBeLessThan(2);
      const after = await chat.questions();
      expect(after.length).toBeGreaterThan(before.length);
      const first = messages / 2 - after.length + 1;
      expect(after).toEqual(after.map((_, index) => `Question ${first + index}`));
    }
    await chat.press("Go to the newest message");
    await chat
      .answers("Scout")
      .filter({ hasText: `Answer ${messages / 2}:` })
      .click();
  });
});

describe("the agents", () => {
  test("leave alone what is no chat, also when it comes back from the archive", async () => {
    const path = "/v1/sessions/another-app";
    const kind = "chat.user.message";
    const message = { id: "u1", role: "user", parts: [{ type: "text", text: "@scout Anybody?" }] };
    await app.call("POST", "/v1/sessions", { id: "another-app" });
    for (const [call, body] of Object.entries({
      append: { type: kind, payload: { kind, message }, producer_id: "p", producer_seq: 1 },
      archive: {},
      unarchive: {},
    }))
      expect((await app.call("POST", `${path}/${call}`, body)).status).toBeLessThan(300);
    const answer = await beginAnswer();
    answer.say("two, ");
    await endHello(answer);
    expect((await app.call("GET", `${path}/events`)).json.events).toHaveLength(1);
  });
});

describe("the backend", () => {
  const call = (method: string, path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${app.url}${path}`, { method, headers });
  const cookie = "person=amber-heron-1";

  test("gives tokens for chats, to people it knows, and for one person and one chat each", async () => {
    const answer = await call("POST", `/api/chats/${chat.id}/token`, { cookie });
    const { token } = (await answer.json()) as { readonly token: string };
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as object;
    expect(claims).toMatchObject({ sub: "user:amber-heron-1", session_id: chat.id });
    expect((await call("POST", `/api/chats/${chat.id}/token`)).status).toBe(401);
    await app.call("POST", "/v1/sessions", { id: "no-chat" });
    for (const id of ["no-chat", "never-was", "%2e%2e", "a%2Fb"])
      expect((await call("POST", `/api/chats/${id}/token`, { cookie })).status).toBeGreaterThanOrEqual(400);
  });

  test("has nothing for other names that were made to point to it, for bad paths and files outside", async () => {
    const { port } = new URL(app.url);
    expect(await statusOf(Number(port), "GET /api/me", "evil.example")).toBe(403);
    expect(await statusOf(Number(port), "GET /api/me", `localhost:${port}`)).toBe(200);
    expect((await call("POST", "/api/chats/%zz/token", { cookie })).status).toBe(400);
    for (const path of ["/../backend.js", "/%2e%2e/backend.js", "/..%2f..%2fpackage.json", "/none.js"])
      expect(await statusOf(Number(port), `GET ${path}`, `localhost:${port}`)).toBe(404);
  });
});

/** Of a request as it stands there: fetch would make its path tidy. */
async function statusOf(port: number, line: string, host: string): Promise<number> {
  const [method, path] = line.split(" ");
  const sent = request({ port, method, path, headers: { host } }).end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}

describe("npm run example:chat", () => {
  test("starts all of it; two agents really read files, without a key; and it ends when it is told to", async () => {
    await using example = await ChatExample.start({ wordMs: 0 });
    chat = await ChatPage.open(browser.context, example.url);
    await chat.press("How does scroll keep its place?");
    await chat.isQuiet();
    const [scout, tally] = [chat.answers("Scout"), chat.answers("Tally")];
    const path = "page/src/use-scroll.ts";
    const file = await readFile(new URL(`../../examples/chat/${path}`, import.meta.url), "utf8");
    const [definition = ""] = /^export interface.*$/m.exec(file) ?? [];
    await scout.locator("pre code").getByText(definition).waitFor();
    const calls = ".tool[data-state=output-available] summary";
    expect(await scout.locator(calls).allInnerTexts()).toEqual([
      expect.stringContaining("search_files"),
      expect.stringMatching(/read_file[^]*use-scroll/),
    ]);
    expect(await tally.locator(calls).allInnerTexts()).toEqual([
      expect.stringContaining("search_files"),
      expect.stringContaining("count_lines"),
    ]);
    // What a tool gave is there on a click.
    await scout.locator(calls).last().click();
    await scout.locator(".tool[open] pre").getByText(definition).waitFor();
    const lines = file.trimEnd().split("\n").length;
    await tally.getByRole("row", { name: path }).getByText(`${lines}`, { exact: true }).waitFor();

    const [daybook] = await example.pids();
    process.kill(daybook, "SIGKILL");
    await chat.is("offline");
    await chat.ask("@tally scroll");
    await tally.last().getByText("one line in").waitFor();
    await chat.is("live");
    expect(await example.interrupt()).toBe(0);
    await expect(fetch(example.url)).rejects.toThrow();
  });
});

/** All that agents have said in a session, as the server has it. */
async function saidIn(id: string): Promise<string> {
  const { json } = await app.call("GET", `/v1/sessions/${id}/events?limit=1000`);
  return json.events
    .map(({ payload }) => (payload as { chunk?: { delta?: string } }).chunk?.delta ?? "")
    .join("");
}

const sorted = (texts: readonly string[]): string[] => [...texts].sort();
