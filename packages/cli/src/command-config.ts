import type { Command } from "commander";
import { configFolder, configPath, readConfig, writeConfig } from "./config-file.js";
import { checkBaseUrl, checkToken, resolveConnection } from "./connection.js";
import { addGlobalOptions, type Context } from "./context.js";

const HELP = `
The file is readable by you alone. What counts, first to last: flag, environment
(DAYBOOK_BASE_URL, DAYBOOK_TOKEN), this file, the default http://127.0.0.1:4000.

Examples:
  daybook config set endpoint https://daybook.example.com
  daybook config set api-key - <key.txt     # from a file: not in the shell's history
  daybook config show`;

export function addConfigCommand(program: Command, context: Context): void {
  const config = context
    .command(program, "config")
    .summary("keep the server's URL and key")
    .description("Keep the server's URL and the key, so that they need not be given each time.")
    .enablePositionalOptions()
    .addHelpText("after", HELP);
  const set = addGlobalOptions(config.command("set"))
    .summary("keep a value")
    .description("Keep a value in the config file.")
    .enablePositionalOptions();
  addSet(set, context, "endpoint", "where the server is", "a URL like https://daybook.example.com");
  addSet(
    set,
    context,
    "api-key",
    "the API key or token to show there",
    "the key; - reads it from standard input",
  );
  addShow(config, context);
}

function addSet(
  set: Command,
  context: Context,
  name: "endpoint" | "api-key",
  summary: string,
  value: string,
): void {
  addGlobalOptions(set.command(name))
    .summary(summary)
    .description(`Keep ${summary}.`)
    .argument("<value>", value)
    .action(async (value: string, _options: unknown, command: Command) => {
      const folder = configFolder(context.options(command).configDir, context.io.env);
      const config = await readConfig(folder);
      const change =
        name === "endpoint" ? { endpoint: checkBaseUrl(value) } : { apiKey: await keyOf(context, value) };
      await writeConfig(folder, { ...config, ...change });
      const file = configPath(folder);
      await context.print(
        context.wantsJson(command) ? JSON.stringify({ set: name, file }) : `${name} kept in ${file}`,
      );
    });
}

async function keyOf(context: Context, value: string): Promise<string> {
  if (value !== "-") return checkToken(value);
  const chunks: Buffer[] = [];
  for await (const chunk of context.io.stdin) chunks.push(Buffer.from(chunk as Buffer));
  return checkToken(Buffer.concat(chunks).toString("utf8"));
}

function addShow(config: Command, context: Context): void {
  addGlobalOptions(config.command("show"))
    .summary("show what counts now")
    .description("Show what counts now, and where each value comes from.")
    .action(async (_options: unknown, command: Command) => {
      const options = context.options(command);
      const { baseUrl, baseUrlFrom, token, tokenFrom } = await resolveConnection(options, context.io.env);
      const file = configPath(configFolder(options.configDir, context.io.env));
      const key = token === undefined ? undefined : masked(token);
      if (options.json === true) {
        const facts = { endpoint: baseUrl, endpoint_from: baseUrlFrom, api_key: key ?? null };
        await context.print(JSON.stringify({ ...facts, api_key_from: tokenFrom ?? null, file }));
        return;
      }
      await context.print(`endpoint  ${baseUrl}  (${baseUrlFrom})`);
      await context.print(`api-key   ${key === undefined ? "none" : `${key}  (${tokenFrom ?? ""})`}`);
      await context.print(`file      ${file}`);
    });
}

/** Enough to tell two keys apart, and not enough to use one. */
function masked(key: string): string {
  return key.length < 16 ? "****" : `****${key.slice(-4)}`;
}
