import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import type { Daybook } from "@daybook/client";
import { eventually } from "@daybook/test-kit";
import { expect, test } from "vitest";
import { ChatList } from "../../examples/chat/dist/chat-list.js";

/** Its lists are answered when a test says so. */
class SlowDaybook {
  private change: () => void = () => undefined;
  readonly reads: ((title: string) => void)[] = [];
  readonly sessions = {
    page: () =>
      new Promise((resolve) => {
        this.reads.push((title) => resolve({ sessions: [{ id: "chat", title, updated_at: "" }] }));
      }),
  };

  on(event: string, heard: () => void): void {
    if (event === "session.updated") this.change = heard;
  }

  /** The next read, which this change brings about. */
  async changed(): Promise<(title: string) => void> {
    this.change();
    return this.nextRead();
  }

  async nextRead(): Promise<(title: string) => void> {
    await eventually("the list is read", () => this.reads.length > 0);
    return this.reads.shift() as (title: string) => void;
  }
}

test("the chat example's list never goes back to an older one, whichever read is answered first", async () => {
  const daybook = new SlowDaybook();
  const chats = new ChatList(daybook as unknown as Daybook);
  const server = createServer((_request, response) => void chats.stream(response));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const [page] = (await once(request({ port }).end(), "response")) as [IncomingMessage];
  let told = "";
  page.setEncoding("utf8").on("data", (text: string) => (told += text));
  const first = await daybook.nextRead();
  const second = await daybook.changed();
  const third = await daybook.changed();
  third("third");
  first("first");
  second("second");
  (await daybook.changed())("last");
  await eventually("the last one is told", () => told.includes("last"));
  expect([...told.matchAll(/"title":"(\w+)"/g)].map(([, title]) => title)).toEqual(["third", "last"]);
  server.closeAllConnections();
  server.close();
});
