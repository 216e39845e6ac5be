import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addAppendCommand } from "./command-append.js";
import { addChatCommand } from "./command-chat.js";
import { addConfigCommand } from "./command-config.js";
import { addCreateCommand } from "./command-create.js";
import { addDiffCommand } from "./command-diff.js";
import { addExecCommand } from "./command-exec.js";
import { addExportCommand } from "./command-export.js";
import { addForkCommand } from "./command-fork.js";
import { addImportCommand } from "./command-import.js";
import { addKeysCommand } from "./command-keys.js";
import { addServeCommand } from "./command-serve.js";
import { addSessionsCommand } from "./command-sessions.js";
import { addStateCommand } from "./command-state.js";
import { addStoreCommands } from "./command-store.js";
import { addTailCommand } from "./command-tail.js";
import { addTokenCommand } from "./command-token.js";
import { addGlobalOptions, type Context } from "./context.js";

const HELP = `
Examples:
  daybook serve                                        # a server on this machine
  daybook create --id ses_demo --title "Demo"
  daybook append ses_demo --agent drafter --text "Drafting clause 4.2…"
  daybook exec ses_demo -- npm test                    # record a command, line by line
  daybook tail ses_demo                                # in another terminal: watch it happen

Where the server is, first to last: --base-url, DAYBOOK_BASE_URL, daybook config set endpoint,
http://127.0.0.1:4000. The key alike: --token, DAYBOOK_TOKEN, daybook config set api-key.

Exit codes: 0 done · 1 damage found, bad input or a failed command · 2 wrong usage · 3 the server refused
(4xx) · 4 the server was not reached, or busy, in all attempts · 130 interrupted. \`exec\` exits as its command.
Results go to standard output, everything else to standard error; errors are CODE (STATUS): MESSAGE.`;

/**
 * The whole command line. Its modules are loaded for every command: what takes long to load — the server, a WebSocket —
 * is imported by the one that needs it, when it runs.
 */
export function buildProgram(context: Context, args: readonly string[]): Command {
  const { io } = context;
  const program = addGlobalOptions(new Command("daybook"))
    .description("Daybook keeps the one true record of what happened between agents, tools and people.")
    .version(readVersion(), "-V, --version", "print the version")
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    .showHelpAfterError("(add --help for what is possible)")
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "daybook: ")),
    })
    .addHelpText("after", HELP);
  addServeCommand(program, context);
  addCreateCommand(program, context);
  addAppendCommand(program, context, args);
  addTailCommand(program, context);
  addChatCommand(program, context);
  addExecCommand(program, context);
  addSessionsCommand(program, context);
  addForkCommand(program, context);
  addDiffCommand(program, context);
  addStateCommand(program, context);
  addExportCommand(program, context);
  addImportCommand(program, context);
  addConfigCommand(program, context);
  addKeysCommand(program, context);
  addTokenCommand(program, context);
  addStoreCommands(program, context);
  return program;
}

function readVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
