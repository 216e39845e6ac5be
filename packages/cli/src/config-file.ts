import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { CommandFailure, messageOf } from "./failures.js";
import type { Io } from "./io.js";

/** What `daybook config set` keeps. */
export interface Config {
  readonly endpoint?: string;
  readonly apiKey?: string;
}

/** Flag, `DAYBOOK_CONFIG_DIR`, `XDG_CONFIG_HOME/daybook`, `~/.config/daybook`. */
export function configFolder(flag: string | undefined, env: Io["env"]): string {
  const chosen = flag ?? env["DAYBOOK_CONFIG_DIR"];
  if (chosen !== undefined && chosen !== "") return chosen;
  const base = env["XDG_CONFIG_HOME"];
  if (base !== undefined && base !== "") return join(base, "daybook");
  return join(env["HOME"] ?? homedir(), ".config", "daybook");
}

export function configPath(folder: string): string {
  return join(folder, "config.json");
}

/** An absent file is an empty configuration. */
export async function readConfig(folder: string): Promise<Config> {
  const path = configPath(folder);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isAbsent(error)) return {};
    throw new CommandFailure(`cannot read ${path}: ${messageOf(error)}`);
  }
  return parseConfig(text, path);
}

/** The file holds a key: nobody else may read it, not even for the moment between writing and chmod. */
export async function writeConfig(folder: string, config: Config): Promise<void> {
  const path = configPath(folder);
  const draft = `${path}.${process.pid}.new`;
  try {
    // Loaded only here: every command reads this file's module, few write the file.
    const { makeFolder } = await import("@daybook/server/make-folder");
    await makeFolder(folder);
    const members = { endpoint: config.endpoint, api_key: config.apiKey };
    await writeFile(draft, `${JSON.stringify(members, undefined, 2)}\n`, { mode: 0o600 });
    await chmod(draft, 0o600);
    await rename(draft, path);
  } catch (error) {
    throw new CommandFailure(`cannot write ${path}: ${messageOf(error)}`);
  }
}

function parseConfig(text: string, path: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CommandFailure(`${path} is not JSON (${messageOf(error)}): correct it or remove it`);
  }
  if (typeof value !== "object" || value === null) throw new CommandFailure(`${path} is not a JSON object`);
  const members = value as Record<string, unknown>;
  const endpoint = textMember(members, "endpoint", path);
  const apiKey = textMember(members, "api_key", path);
  return { ...(endpoint === undefined ? {} : { endpoint }), ...(apiKey === undefined ? {} : { apiKey }) };
}

function textMember(members: Record<string, unknown>, name: string, path: string): string | undefined {
  const value = members[name];
  if (value === undefined || typeof value === "string") return value;
  throw new CommandFailure(`${path}: ${name} must be a string`);
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
