import type { ServerResponse } from "node:http";
import type { Daybook, SessionRecord } from "@daybook/client";
import { APP } from "./connect.js";

const CHATS_MAX = 100;
const CHANGES = ["created", "updated", "archived", "unarchived", "deleted"] as const;
/** Changes that come together are told together. */
const GATHER_MS = 50;

/** The newest chats, for pages that show them: the whole list, again whenever it is another. */
export class ChatList {
  /** Each with the number of the newest read that it was told. */
  private readonly pages = new Map<ServerResponse, number>();
  private reads = 0;
  private telling: NodeJS.Timeout | undefined;

  constructor(private readonly daybook: Daybook) {
    for (const change of CHANGES) daybook.on(`session.${change}`, () => this.tellSoon());
    daybook.on("error", (error) => process.stderr.write(`backend: ${error.message}\n`));
  }

  async stream(response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    // So that a page knows that it is connected, even while Daybook cannot be asked.
    response.write(":\n\n");
    this.pages.set(response, 0);
    response.once("close", () => this.pages.delete(response));
    await this.tell([response]);
  }

  private tellSoon(): void {
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.tell([...this.pages.keys()]).catch((error: unknown) =>
        process.stderr.write(`backend: ${String(error)}\n`),
      );
    }, GATHER_MS);
  }

  private async tell(pages: readonly ServerResponse[]): Promise<void> {
    if (pages.length === 0) return;
    const read = ++this.reads;
    const current = await this.current();
    for (const page of pages) {
      const told = this.pages.get(page);
      // It is gone, or knows better: of two reads the later one may be answered first.
      if (told === undefined || told > read) continue;
      this.pages.set(page, read);
      page.write(current);
    }
  }

  private async current(): Promise<string> {
    const { sessions } = await this.daybook.sessions.page({
      metadata: APP,
      sort: "updated",
      order: "desc",
      limit: CHATS_MAX,
    });
    return `data: ${JSON.stringify(sessions.map(shown))}\n\n`;
  }
}

function shown({ id, title, updated_at: updatedAt }: SessionRecord): object {
  return { id, title, updatedAt };
}
