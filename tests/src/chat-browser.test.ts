import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TestBrowser } from "./support/browser.js";
import { buildChatPage, ChatApp } from "./support/chat-app.js";
import { ChatPage } from "./support/chat-page.js";
import { GatedModel } from "./support/gated-model.js";

/** The example, in a real browser. Its model says what a test says: so it is known what is the middle of an answer. */
let pageFolder: string;
let model: GatedModel;
let app: ChatApp;
let browser: TestBrowser;
beforeAll(async () => {
  [pageFolder, model] = await Promise.all([buildChatPage(), GatedModel.start()]);
  [app, browser] = await Promise.all([
    ChatApp.start(pageFolder, { OPENAI_BASE_URL: model.baseUrl }),
    TestBrowser.start(),
  ]);
});
afterAll(async () => {
  await Promise.all([browser, app, model].map((one) => one[Symbol.asyncDispose]()));
});

let chat: ChatPage;
beforeEach(async () => {
  await Promise.all(browser.context.pages().map((page) => page.close()));
  chat = await ChatPage.open(browser.context, app.url);
  await chat.begin();
});

describe("examples/chat", () => {
  test("a page that is loaded again in the middle of an answer goes on with it", async () => {
    await chat.ask("@scout Hello?");
    const answer = await model.next();
    answer.say("One, ");
    await chat.hears("Scout", "One,");
    await chat.reload();
    await chat.hears("Scout", "One,");
    answer.say("two, ");
    await chat.hears("Scout", "One, two,");
    answer.say("three.");
    answer.finish();
    await chat.isQuiet();
    expect(await chat.transcript()).toEqual(["You: @scout Hello?", "Scout: One, two, three."]);
  });
});
