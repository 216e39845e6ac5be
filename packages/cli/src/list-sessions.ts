import type { Context } from "./context.js";
import { openObject } from "./event-text.js";
import { messageOf, UsageFailure } from "./failures.js";
import type { ServerClient } from "./server-client.js";
import { showTable } from "./show-table.js";

export interface ListOptions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly all?: true;
  readonly archived: "active" | "archived" | "all";
  readonly metadata?: readonly string[];
  readonly forkedFrom?: string;
  readonly sort?: string;
  readonly order?: string;
}

interface ListedSession {
  readonly id: string;
  readonly title: string | null;
  readonly last_seq: number;
  readonly archived: boolean;
  readonly updated_at: string;
}

interface SessionPage {
  readonly sessions: readonly ListedSession[];
  readonly next_cursor: string | null;
}

/** Prints a page of sessions (with `--all`, each page), as a table or each page as the server's JSON. */
export async function listSessions(
  context: Context,
  client: ServerClient,
  job: { readonly options: ListOptions; readonly json: boolean },
): Promise<void> {
  let { cursor } = job.options;
  let header = true;
  do {
    const path = listPath(job.options, cursor);
    const text = await client.call({ method: "GET", path, repeatable: true });
    const page = JSON.parse(text) as SessionPage;
    if (job.json) await context.print(text);
    else if (page.sessions.length > 0) {
      await context.print(tableOf(page.sessions, header));
      header = false;
    }
    cursor = page.next_cursor ?? undefined;
  } while (job.options.all === true && cursor !== undefined);
  if (cursor !== undefined && !job.json) context.say(`there are more: add --cursor ${cursor}, or --all`);
}

const ARCHIVED = { active: "false", archived: "true", all: "all" } as const;

export function listPath(options: ListOptions, cursor: string | undefined): string {
  const query = new URLSearchParams({ archived: ARCHIVED[options.archived] });
  if (options.limit !== undefined) query.set("limit", String(options.limit));
  if (cursor !== undefined) query.set("cursor", cursor);
  if (options.forkedFrom !== undefined) query.set("forked_from", options.forkedFrom);
  if (options.sort !== undefined) query.set("sort", options.sort);
  if (options.order !== undefined) query.set("order", options.order);
  for (const filter of options.metadata ?? []) {
    for (const [key, value] of filterPairs(filter)) query.append(`metadata.${key}`, value);
  }
  return `/v1/sessions?${query.toString()}`;
}

/** `team=legal`, or several as JSON: `{"team": "legal", "priority": 1}`. */
function filterPairs(filter: string): [string, string][] {
  if (filter.startsWith("{")) return filtersIn(filter);
  const at = filter.indexOf("=");
  if (at < 1) throw new UsageFailure(`--metadata must be KEY=VALUE, and is ${filter}`);
  return [[filter.slice(0, at), filter.slice(at + 1)]];
}

/** Values are compared as texts, so a number stays as it is written: 1.0 is not 1. */
function filtersIn(json: string): [string, string][] {
  try {
    return [...openObject(json)].map(([key, text]) => {
      if (/^[[{]/.test(text)) throw new Error(`has no plain value in ${JSON.stringify(key)}`);
      return [key, text.startsWith('"') ? (JSON.parse(text) as string) : text];
    });
  } catch (error) {
    throw new UsageFailure(
      `--metadata must be KEY=VALUE or a JSON object of plain values: it ${messageOf(error)}`,
    );
  }
}

const HEADER = ["ID", "LAST SEQ", "CHANGED", "TITLE"];

function tableOf(sessions: readonly ListedSession[], header: boolean): string {
  const rows = sessions.map((session) => [
    session.id,
    String(session.last_seq),
    session.updated_at,
    `${session.archived ? "(archived) " : ""}${oneLine(session.title ?? "")}`,
  ]);
  const table = showTable([HEADER, ...rows]);
  return header ? table : table.slice(table.indexOf("\n") + 1);
}

function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- a title must not drive the terminal, or break the table.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}
