import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { TestBrowser } from "../support/browser.js";
import { ChatExample } from "../support/chat-app.js";
import { ChatPage } from "../support/chat-page.js";

/** Takes the picture in the chat example's README: npm run example:chat:screenshot */
const FILE = fileURLToPath(new URL("../../../examples/chat/screenshot.png", import.meta.url));
const BYTES_MAX = 200 * 1024;

await using example = await ChatExample.start({ wordMs: 20 });
await using browser = await TestBrowser.start({
  viewport: { width: 1240, height: 790 },
  deviceScaleFactor: 1.25,
  colorScheme: process.argv.includes("--dark") ? "dark" : "light",
  locale: "en-GB",
});
await browser.context.addCookies([{ name: "person", value: "amber-heron-42", url: example.url }]);
const chat = await ChatPage.open(browser.context, example.url);
for (const title of ["Where is an answer recorded?", "Which tools do you have?"]) {
  await chat.press(title);
  await chat.isQuiet();
  await chat.begin();
}
await chat.press("How does scroll keep its place?");
await chat.answers("Scout").getByText("I read it from").waitFor();
await chat.page.screenshot({ path: FILE });
const { length } = await readFile(FILE);
if (length > BYTES_MAX) throw new Error(`The picture has ${length} bytes; ${BYTES_MAX} are too many.`);
process.stdout.write(`${FILE}: ${length} bytes\n`);
