import type { BrowserContext, Locator, Page } from "playwright-core";
import { within } from "@daybook/test-kit";

/** Runs in the page, where there is a document. */
const TRANSCRIPT = `[...document.querySelectorAll("article")].map(
  (article) => article.ariaLabel + ": " + article.querySelector(".words").textContent)`;

const SCROLL_TO_TOP = `new Promise((resolve) => {
  const turns = document.getElementsByClassName("turn");
  const [first, count] = [turns[0], turns.length];
  document.querySelector(".scroller").scrollTop = 0;
  const top = first.getBoundingClientRect().top;
  const look = () =>
    turns.length > count ? resolve(first.getBoundingClientRect().top - top) : requestAnimationFrame(look);
  look();
})`;

/** A tab with the chat in it, as somebody uses it. */
export class ChatPage {
  private constructor(readonly page: Page) {}

  /** Opens a tab, at a chat, or at the one that is there. */
  static async open(context: BrowserContext, url: string): Promise<ChatPage> {
    const page = await context.newPage();
    await page.goto(url);
    const chat = new ChatPage(page);
    await chat.is("live");
    return chat;
  }

  /** Of the chat: another tab shows the same with it. */
  get url(): string {
    return this.page.url();
  }

  /** Of the session. */
  get id(): string {
    return new URL(this.url).hash.slice(1);
  }

  /** Begins a chat of its own. */
  async begin(): Promise<void> {
    const before = this.url;
    await this.press("New chat");
    await this.page.waitForURL((url) => url.href !== before);
    await this.is("live");
  }

  async ask(text: string): Promise<void> {
    await this.page.getByRole("textbox", { name: "Message" }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  press(button: string): Promise<void> {
    return this.page.getByRole("button", { name: button, exact: true }).click();
  }

  /** What the page says of its connection. */
  is(status: "live" | "offline"): Promise<void> {
    return this.page.locator(`.connection[data-status="${status}"]`).waitFor();
  }

  answers(agent: "Scout" | "Tally"): Locator {
    return this.page.getByRole("article", { name: agent });
  }

  /** Waits until an agent has said just that, in the newest of its answers. */
  async hears(agent: "Scout" | "Tally", text: string): Promise<void> {
    const words = this.answers(agent).last().locator(".words");
    await words.filter({ hasText: new RegExp(`^\\s*${text}\\s*$`) }).waitFor();
  }

  /** Waits until nobody answers. */
  async isQuiet(): Promise<void> {
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
  }

  /** Who said what, as it stands there. */
  transcript(): Promise<string[]> {
    return this.page.evaluate<string[]>(TRANSCRIPT);
  }

  /** How much wider what is shown is than the window, in pixels. */
  overflow(): Promise<number> {
    return this.page.evaluate<number>(`document.documentElement.scrollWidth - innerWidth`);
  }

  questions(): Promise<string[]> {
    return this.page.locator(".person .words").allTextContents();
  }

  /** When a text was there to be seen, from the moment on in which the page was asked for. */
  shownAfterMs(text: string): Promise<number> {
    return this.page.evaluate<number>(`new Promise((resolve) => {
      const look = () =>
        document.body.innerText.includes(${JSON.stringify(text)})
          ? resolve(performance.now())
          : requestAnimationFrame(look);
      look();
    })`);
  }

  /**
   * Goes to the top, where more is loaded.
   *
   * @returns by how much the message that was the first has moved on the screen meanwhile, in pixels
   */
  async scrollToTop(): Promise<number> {
    return this.page.evaluate<number>(SCROLL_TO_TOP);
  }

  async reload(): Promise<void> {
    await within("the page is loaded", this.page.reload());
  }
}
