import type { ServerResponse } from "node:http";
import type { Daybook, SessionRecord } from "@daybook/client";
import { APP } from "./connect.js";

const CHATS_MAX = 100;
const CHANGES = ["created", "updated", "archived", "unarchived", "deleted"] as const;
/** Changes that come together are told together. */
const GATHER_MS = 50;

/** The newest chats, for pages that show them: the whole list, again whenever it is another. */
export class ChatList {
  private readonly pages = new Set<ServerResponse>();
  private telling: NodeJS.Timeout | undefined;

  constructor(private readonly daybook: Daybook) {
    for (const change of CHANGES) daybook.on(`session.${change}`, () => this.tellSoon());
    daybook.on("error", (error) => process.stderr.write(`backend: ${error.message}\n`));
  }

  async stream(response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    // So that a page knows that it is connected, even while Daybook cannot be asked.
    response.write(":\n\n");
    this.pages.add(response);
    response.once("close", () => this.pages.delete(response));
    response.write(await this.current());
  }

  private tellSoon(): void {
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.tell().catch((error: unknown) => process.stderr.write(`backend: ${String(error)}\n`));
    }, GATHER_MS);
  }

  private async tell(): Promise<void> {
    if (this.pages.size === 0) return;
    const current = await this.current();
    for (const response of this.pages) response.write(current);
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
