import type { Daybook, Session } from "@daybook/client";
import { DaybookError } from "@daybook/client";
import { type AgentTurn, runAgent } from "@daybook/client/ai";
import { answer } from "./answer.js";
import { CAST, type Part } from "./cast.js";
import { APP, connect } from "./connect.js";

/**
 * The worker: each agent of the cast follows each chat, and answers. It may be killed and started again at any time:
 * what was being answered is answered then.
 */
const SESSIONS_MAX = 200;
const TITLE_MAX = 60;

const daybook = connect();
/** Chats that are followed, and how to leave them. */
const followed = new Map<string, AbortController>();

daybook.on("session.created", ({ session_id, metadata }) => {
  if (metadata?.["app"] === APP.app) follow(session_id);
});
for (const gone of ["session.archived", "session.deleted"] as const)
  daybook.on(gone, ({ session_id }) => leave(session_id));
daybook.on("session.unarchived", ({ session_id }) => void followIfChat(session_id));

let count = 0;
for await (const { id } of daybook.sessions.list({ metadata: APP, sort: "updated", order: "desc" })) {
  if (++count > SESSIONS_MAX) break;
  follow(id);
}
process.stdout.write("agents: ready\n");

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    for (const id of [...followed.keys()]) leave(id);
    void daybook.close({ timeoutMs: 1_000 }).then(() => process.exit(0));
  });

function follow(id: string): void {
  if (followed.has(id)) return;
  const leaving = new AbortController();
  followed.set(id, leaving);
  for (const part of CAST) void takePart(part, id, leaving.signal);
}

/** What comes back from the archive does not say what it is. */
async function followIfChat(id: string): Promise<void> {
  try {
    const { metadata, archived } = await daybook.sessions.get(id);
    if (metadata["app"] === APP.app && !archived) follow(id);
  } catch (error) {
    process.stderr.write(`agents: ${id}: ${String(error)}\n`);
  }
}

function leave(id: string): void {
  followed.get(id)?.abort();
  followed.delete(id);
}

async function takePart(part: Part, id: string, signal: AbortSignal): Promise<void> {
  try {
    await using session = await daybook.session({ identity: daybook.agent({ id: part.id }), id });
    const handle = async (turn: AgentTurn): Promise<void> => {
      if (part === CAST[0]) await giveTitle(daybook, session, turn);
      await answer(part, turn);
    };
    await runAgent(session, handle, { signal, onError: (error) => complain(part, id, error) });
  } catch (error) {
    // A chat that is gone needs nobody; one that another worker has taken over has somebody.
    const code = error instanceof DaybookError ? error.code : undefined;
    if (code !== "session_not_found") complain(part, id, error);
  }
}

/** A chat is called by what was said first. */
async function giveTitle(daybook: Daybook, { id, record }: Session, { message }: AgentTurn): Promise<void> {
  if ((record?.title ?? null) !== null) return;
  const current = await daybook.sessions.get(id);
  if (current.title !== null) return;
  const parts = message.parts as readonly { readonly type: string; readonly text?: string }[];
  const text =
    parts
      .find(({ type }) => type === "text")
      ?.text?.replace(/\s+/g, " ")
      .trim() ?? "";
  if (text === "") return;
  const title = text.length <= TITLE_MAX ? text : `${text.slice(0, TITLE_MAX - 1)}…`;
  await daybook.sessions.update(id, { title });
}

function complain({ name }: Part, id: string, error: unknown): void {
  process.stderr.write(`agents: ${name} in ${id}: ${String(error)}\n`);
}
