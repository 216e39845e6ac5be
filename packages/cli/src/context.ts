import type { Command } from "commander";
import { type GlobalOptions, resolveConnection } from "./connection.js";
import { EXIT } from "./exit-codes.js";
import type { Io } from "./io.js";
import { PATIENCE_MS, ServerClient } from "./server-client.js";
import { writeOutput } from "./write-output.js";

/** What every command gets: the process it runs in, and how to reach the server and the reader. */
export class Context {
  /** What the process will exit with, unless the command throws. */
  exitCode: number = EXIT.ok;
  private readonly clients: ServerClient[] = [];

  constructor(readonly io: Io) {}

  /** A subcommand that takes the global options, after its name too. */
  command(parent: Command, name: string): Command {
    return addGlobalOptions(parent.command(name));
  }

  /** The global options wherever they were given; the nearest to the end of the command line counts. */
  options(command: Command): GlobalOptions {
    const outer = command.parent === null ? {} : this.options(command.parent);
    return { ...outer, ...command.opts<GlobalOptions>() };
  }

  wantsJson(command: Command): boolean {
    return this.options(command).json === true;
  }

  async client(command: Command): Promise<ServerClient> {
    const connection = await resolveConnection(this.options(command), this.io.env);
    const client = new ServerClient(connection, this.io.clock, {
      patienceMs: PATIENCE_MS,
      onTrouble: (why) => this.say(`${why}; trying again for ${PATIENCE_MS / 1000} s`),
    });
    this.clients.push(client);
    return client;
  }

  /** A line for whoever asked, on stdout. */
  async print(line: string): Promise<void> {
    await writeOutput(this.io.stdout, `${line}\n`);
  }

  /** A line about how it goes, on stderr. */
  say(line: string): void {
    this.io.stderr.write(`daybook: ${line}\n`);
  }

  close(): void {
    for (const client of this.clients) client.close();
  }
}

export function addGlobalOptions(command: Command): Command {
  return command
    .option("-u, --base-url <url>", "where the server is (env: DAYBOOK_BASE_URL)")
    .option("-k, --token <token>", "API key or token (env: DAYBOOK_TOKEN)")
    .option("--config-dir <folder>", "where `daybook config` keeps its file (env: DAYBOOK_CONFIG_DIR)")
    .option("--json", "print JSON, for programs");
}
