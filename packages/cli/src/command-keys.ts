import type { Command } from "commander";
import type { ApiKeyFile } from "@daybook/server";
import { checkBaseUrl } from "./connection.js";
import type { Context } from "./context.js";
import { existingFolder, folderCommand, folderOf, type FolderOptions } from "./data-folder.js";
import { UsageFailure } from "./failures.js";
import { saidOfKeys } from "./keys-failure.js";
import { commaList, durationSeconds, nonEmpty } from "./parse-arguments.js";
import { showTable } from "./show-table.js";

interface CreateOptions extends FolderOptions {
  readonly tenant: string;
  readonly name?: string;
  readonly scopes?: readonly string[];
  readonly ttl?: number;
  readonly publicUrl?: string;
}

const CREATE_HELP = `
Prints the key, which is shown this once and kept nowhere: a JWT for servers, not for browsers. It works at once, also on
a server that is running. Clients find the server by the URL it was made with (--public-url, of \`serve\` or here).

Examples:
  KEY=$(daybook keys create --tenant acme --name backend)
  daybook keys create --tenant acme --scopes session:read --ttl 90d --data-dir /var/lib/daybook`;

const LIST_HELP = `
Examples:
  daybook keys list --data-dir /var/lib/daybook
  daybook keys list --json | jq -r '.[] | select(.state == "active") | .id'`;

const REVOKE_HELP = `
The key, and every session token minted with it, ends within a second: on a running server open tails end too.

Examples:
  daybook keys revoke key_Zm9vYmFyYmF6`;

const ROTATE_HELP = `
Makes a new signing key. What the old one signed stays good until it ends; its private half is dropped.

Examples:
  daybook keys rotate --data-dir /var/lib/daybook`;

/** `daybook keys …`: on a data folder, beside a server that may run. */
export function addKeysCommand(program: Command, context: Context): void {
  const keys = program
    .command("keys")
    .summary("make, list and revoke API keys")
    .description("Make, list and revoke API keys, in a data folder. The server may run.");
  addCreate(keys, context);
  folderCommand(keys, "list", LIST_HELP)
    .description("List API keys. The keys themselves are kept nowhere.")
    .action(async (options: FolderOptions, command: Command) => {
      const { listApiKeys } = await import("@daybook/server/manage-keys");
      const files = await saidOfKeys(listApiKeys(existingFolder(context, options)));
      await context.print(context.wantsJson(command) ? JSON.stringify(files.map(factsOf)) : tableOf(files));
    });
  folderCommand(keys, "revoke", REVOKE_HELP)
    .description("End an API key and all that was minted with it.")
    .argument("<id>", "as `daybook keys list` shows it", nonEmpty)
    .action(async (id: string, options: FolderOptions, command: Command) => {
      const { revokeApiKey } = await import("@daybook/server/manage-keys");
      const file = await saidOfKeys(revokeApiKey(existingFolder(context, options), id));
      await context.print(context.wantsJson(command) ? JSON.stringify(factsOf(file)) : `revoked ${file.id}`);
    });
  folderCommand(keys, "rotate", ROTATE_HELP)
    .description("Make a new signing key.")
    .action(async (options: FolderOptions, command: Command) => {
      const { rotateKeys } = await import("@daybook/server/manage-keys");
      const { kid } = await saidOfKeys(rotateKeys(existingFolder(context, options)));
      await context.print(
        context.wantsJson(command) ? JSON.stringify({ kid }) : `signing with ${kid} from now on`,
      );
    });
}

function addCreate(keys: Command, context: Context): void {
  folderCommand(keys, "create", CREATE_HELP)
    .description("Make an API key for a tenant.")
    .requiredOption("--tenant <tenant>", "whose sessions it opens", nonEmpty)
    .option("--name <name>", "the service that will use it (default: the key's id)", nonEmpty)
    .option(
      "--scopes <scopes>",
      "session:create, session:read, session:append, state:read, state:write (default: all)",
      commaList,
    )
    .option("--ttl <time>", "how long it is good: 90d, 12h (default: 365d)", durationSeconds)
    .option("--public-url <url>", "the URL clients know the server by (default: what the server said last)")
    .action(async (options: CreateOptions, command: Command) => {
      const { createApiKey } = await import("@daybook/server/manage-keys");
      const { tenant, name, scopes, ttl, publicUrl } = options;
      const { key, file } = await saidOfKeys(
        createApiKey(folderOf(context, options), {
          tenant,
          ...(name !== undefined && { name }),
          ...(scopes !== undefined && { scopes }),
          ...(ttl !== undefined && { ttlSeconds: ttl }),
          ...(publicUrl !== undefined && { publicUrl: checkPublicUrl(publicUrl) }),
        }),
      );
      if (context.wantsJson(command)) return context.print(JSON.stringify({ key, ...factsOf(file) }));
      // The key alone on stdout, so that KEY=$(…) takes it.
      context.say(`${file.id} for ${tenant}, good until ${file.expires_at}; it is not shown again`);
      await context.print(key);
    });
}

function checkPublicUrl(text: string): string {
  try {
    return checkBaseUrl(text);
  } catch {
    throw new UsageFailure(`--public-url must be like https://daybook.example.com, and is "${text}"`);
  }
}

function stateOf({ revoked_at: revokedAt, expires_at: expiresAt }: ApiKeyFile): string {
  if (revokedAt !== undefined) return "revoked";
  return Date.parse(expiresAt) <= Date.now() ? "expired" : "active";
}

function factsOf(file: ApiKeyFile): ApiKeyFile & { readonly state: string } {
  return { ...file, state: stateOf(file) };
}

function tableOf(files: readonly ApiKeyFile[]): string {
  if (files.length === 0) return "There are no keys. `daybook keys create --tenant …` makes one.";
  const rows = files.map((file) => [
    file.id,
    file.tenant,
    file.name ?? "-",
    stateOf(file),
    file.scopes.join(","),
    file.created_at.slice(0, 10),
    file.expires_at.slice(0, 10),
  ]);
  return showTable([["ID", "TENANT", "NAME", "STATE", "SCOPES", "CREATED", "EXPIRES"], ...rows]);
}
