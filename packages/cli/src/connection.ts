import { type Config, configFolder, readConfig } from "./config-file.js";
import { UsageFailure } from "./failures.js";
import type { Io } from "./io.js";

/** The options every command takes. */
export interface GlobalOptions {
  readonly baseUrl?: string;
  readonly token?: string;
  readonly configDir?: string;
  readonly json?: boolean;
}

export type Origin = "flag" | "environment" | "config" | "default";

/** Where the server is, who we are there, and where each of the two was said. */
export interface Connection {
  /** Without a slash at the end. */
  readonly baseUrl: string;
  readonly baseUrlFrom: Origin;
  readonly token: string | undefined;
  readonly tokenFrom: Origin | undefined;
}

export const DEFAULT_BASE_URL = "http://127.0.0.1:4000";

/** For each of the two: flag, then environment, then config file, then default. */
export async function resolveConnection(options: GlobalOptions, env: Io["env"]): Promise<Connection> {
  return chooseConnection(options, env, await readConfig(configFolder(options.configDir, env)));
}

export function chooseConnection(options: GlobalOptions, env: Io["env"], config: Config): Connection {
  const url = firstGiven([
    ["flag", options.baseUrl],
    ["environment", env["DAYBOOK_BASE_URL"]],
    ["config", config.endpoint],
  ]);
  const token = firstGiven([
    ["flag", options.token],
    ["environment", env["DAYBOOK_TOKEN"]],
    ["config", config.apiKey],
  ]);
  return {
    baseUrl: checkBaseUrl(url?.value ?? DEFAULT_BASE_URL),
    baseUrlFrom: url?.origin ?? "default",
    token: token === undefined ? undefined : checkToken(token.value),
    tokenFrom: token?.origin,
  };
}

/** An empty value counts as not given: `DAYBOOK_TOKEN= daybook …` takes the variable away. */
function firstGiven(
  places: readonly (readonly [Origin, string | undefined])[],
): { origin: Origin; value: string } | undefined {
  for (const [origin, value] of places) {
    if (value !== undefined && value !== "") return { origin, value };
  }
  return undefined;
}

/**
 * It goes into a header, where other characters would fail at each call. A line end behind it, as files and secrets of
 * containers have it, is no part of it.
 * @throws UsageFailure, which does not repeat it.
 */
export function checkToken(text: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new UsageFailure("a key or token is one word of plain ASCII characters, and this one is not");
  return token;
}

/** @throws UsageFailure when this is no place a request could go to. */
export function checkBaseUrl(text: string): string {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new UsageFailure(`the base URL must be like ${DEFAULT_BASE_URL}, and is "${text}"`);
  }
  const url = new URL(text);
  if (url.search !== "" || url.hash !== "") {
    throw new UsageFailure(`the base URL must end with its path, and is "${text}"`);
  }
  return text.replace(/\/+$/, "");
}
