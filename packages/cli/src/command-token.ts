import type { Command } from "commander";
import type { Context } from "./context.js";
import { existingFolder, folderCommand, type FolderOptions } from "./data-folder.js";
import { UsageFailure } from "./failures.js";
import { saidOfKeys } from "./keys-failure.js";
import { actorFrom, commaList, durationSeconds, nonEmpty } from "./parse-arguments.js";

interface TokenOptions extends FolderOptions {
  readonly session: string;
  readonly as: string;
  readonly tenant: string;
  readonly scopes?: readonly string[];
  readonly ttl?: number;
}

const HELP = `
Prints a session token: for one session, one user or agent, an hour unless --ttl says otherwise (7 days at most). It is
for trying out and for scripts on the server's machine; others send an API key to POST /api/v1/session-tokens, and what
they get ends with that key.

Examples:
  daybook token --tenant acme --session ses_demo --as agent:drafter
  daybook append ses_demo --agent drafter --text "Hello" --token "$(daybook token --session ses_demo --as agent:drafter)"`;

export function addTokenCommand(program: Command, context: Context): void {
  folderCommand(program, "token", HELP)
    .summary("make a session token for a user or an agent")
    .description("Make a session token, in a data folder. The server may run.")
    .requiredOption("--session <id>", "the session it opens", nonEmpty)
    .requiredOption("--as <actor>", "who acts: agent:drafter or user:alice", actorFrom)
    .option("--tenant <tenant>", "whose session it is", nonEmpty, "default")
    .option("--scopes <scopes>", "session:read, session:append (default: both)", commaList)
    .option("--ttl <time>", "how long it is good: 30m, 12h (default: 1h)", durationSeconds)
    .action(async (options: TokenOptions, command: Command) => {
      const { createSessionToken } = await import("@daybook/server/manage-keys");
      const { tenant, session, scopes, ttl } = options;
      const { token, expiresIn } = await saidOfKeys(
        createSessionToken(existingFolder(context, options), {
          tenant,
          session,
          principal: principalOf(options.as),
          ...(scopes !== undefined && { scopes }),
          ...(ttl !== undefined && { ttlSeconds: ttl }),
        }),
      );
      await context.print(
        context.wantsJson(command) ? JSON.stringify({ token, expires_in: expiresIn }) : token,
      );
    });
}

function principalOf(actor: string): { type: string; id: string } {
  const colon = actor.indexOf(":");
  const type = actor.slice(0, colon);
  if (type === "agent" || type === "user") return { type, id: actor.slice(colon + 1) };
  throw new UsageFailure(`--as must be agent:NAME or user:NAME, and is "${actor}"`);
}
