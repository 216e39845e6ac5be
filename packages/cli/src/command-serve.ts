import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import type { RunningServer } from "@daybook/server";
import { readSettings, type Setting, SETTINGS, WrongSetting } from "@daybook/server/settings";
import type { Context } from "./context.js";
import { CommandFailure, messageOf, UsageFailure } from "./failures.js";
import { whatTheStoreSays } from "./store-failure.js";

const HELP = `
Every flag has an environment variable of the same name; a flag counts more. Data is on disk before an append is
acknowledged. SIGTERM and Ctrl-C stop the server in order; kill -9 loses nothing either.

Exit codes: 0 stopped in order · 1 could not start · 2 wrong usage · 70 the store failed: start it again, it recovers
from disk · 75 stopping took longer than --drain-seconds allows; nothing acknowledged is lost.

Examples:
  daybook serve
  daybook serve --data-dir /var/lib/daybook --port 8080
  daybook serve --host 0.0.0.0 --public-url https://daybook.example.com   # asks for tokens: see \`daybook keys\`
  DAYBOOK_LOG_LEVEL=warn daybook serve --port 0 --json   # a free port; prints {"url": …}`;

export function addServeCommand(program: Command, context: Context): void {
  const command = program
    .command("serve")
    .summary("run a server on this machine")
    .description("Run a Daybook server.")
    .option("--json", "print where it listens as JSON")
    .addHelpText("after", HELP)
    .action(async (flags: Record<string, unknown>, self: Command) => {
      context.exitCode = await serveUntilEnd(context, flags, context.wantsJson(self));
    });
  for (const setting of SETTINGS) command.addOption(optionFor(setting));
}

/** No default here: an option left out must stay empty, so that its environment variable counts. */
function optionFor(setting: Setting): Option {
  const { flag, description, env, leftOut = String(setting.default ?? "") } = setting;
  const facts = leftOut === "" ? `env: ${env}` : `default: ${leftOut}, env: ${env}`;
  const option = new Option(flag, `${description} (${facts})`);
  // A flag without a value is just there, or not: there is no text to read.
  if (!option.required) return option;
  return option.argParser((text) => {
    try {
      return setting.parse(text);
    } catch (error) {
      throw new InvalidArgumentError(`It ${messageOf(error)}`);
    }
  });
}

async function serveUntilEnd(
  context: Context,
  flags: Record<string, unknown>,
  json: boolean,
): Promise<number> {
  const { running, keysDir } = await start(flags, context);
  // Each signal is only a wish to stop: a terminal and npm both send one, and the second must not cut the first short.
  const stopListening = context.io.onEndSignal(() => void running.close());
  try {
    await context.print(json ? whereAsJson(running) : whereAsText(running, keysDir));
    return await running.closed;
  } finally {
    stopListening();
  }
}

async function start(
  flags: Record<string, unknown>,
  context: Context,
): Promise<{ readonly running: RunningServer; readonly keysDir: string }> {
  const { letHeapGrow, serve } = await import("@daybook/server");
  letHeapGrow();
  try {
    const settings = readSettings(flags, context.io.env);
    return { running: await serve(settings), keysDir: resolve(settings.dataDir) };
  } catch (error) {
    throw await whyNotServing(error);
  }
}

function whereAsJson(running: RunningServer): string {
  const { url, publicUrl, opsUrl, grpcAddress, dataDir, auth } = running;
  return JSON.stringify({
    url,
    public_url: publicUrl,
    ops_url: opsUrl,
    grpc_address: grpcAddress ?? null,
    data_dir: dataDir ?? null,
    auth,
  });
}

function whereAsText(running: RunningServer, keysDir: string): string {
  const { url, publicUrl, opsUrl, grpcAddress, dataDir, auth } = running;
  const type = "-H 'content-type: application/json'";
  const token = auth === "jwt" ? ' -H "authorization: Bearer $KEY"' : "";
  const makeKey = `  KEY=$(npx daybook keys create --tenant demo --data-dir ${quoted(keysDir)})\n`;
  const known = `keys:     clients that hold one look for this server at ${publicUrl} (--public-url)\n`;
  const event = '{"type":"note","payload":{"text":"hello"},"producer_id":"curl","producer_seq":1}';
  return `Daybook listens on ${url}
auth:     ${auth === "jwt" ? "jwt: every call brings a token" : "none: everybody on this machine may do everything"}
${auth === "jwt" ? known : ""}data:     ${dataDir ?? "in memory: everything is forgotten at the end"}
gRPC:     ${grpcAddress ?? "off"}
health:   ${opsUrl}/health/ready  (metrics: ${opsUrl}/metrics)
API:      ${url}/docs

Try it:
${auth === "jwt" ? makeKey : ""}  curl -s ${url}/v1/sessions${token} ${type} -d '{"id":"ses_demo"}'
  curl -s ${url}/v1/sessions/ses_demo/append${token} ${type} -d '${event}'
  curl -sN ${url}/v1/sessions/ses_demo/tail${token} -H 'accept: text/event-stream'
`;
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

async function whyNotServing(error: unknown): Promise<unknown> {
  if (error instanceof WrongSetting) return new UsageFailure(error.message);
  const { syscall } = error as { readonly syscall?: unknown };
  if (syscall !== "listen" && syscall !== "getaddrinfo") return whatTheStoreSays(error);
  return new CommandFailure(
    `cannot listen: ${messageOf(error)}. Choose another address with --host, --port, --ops-port and --grpc-port`,
  );
}
