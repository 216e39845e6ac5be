import type { Hit } from "./folder.js";

/** What a script says, and the tool that it then calls; none: the answer is whole. */
export interface Step {
  readonly say: string;
  readonly call?: { readonly toolName: string; readonly input: Readonly<Record<string, unknown>> };
}

/** What the tools that are called here give. */
export type Result = Partial<{
  readonly files: readonly (string | { readonly path: string; readonly lines: number })[];
  readonly path: string;
  readonly from: number;
  readonly lines: readonly string[];
  readonly hits: readonly Hit[];
  readonly total: number;
}>;

/** From what was asked, and the results of the tools that were called since, to the next step. */
export type Script = (question: string, results: readonly Result[]) => Step;

const QUOTED_MAX = 9;
const ROWS_MAX = 5;
/** Nobody looks for these. */
const SMALL_WORDS = new Set(
  "about does from have here how into its that the their them there these this those what when where which while who why with you your please show tell works work file files happens".split(
    " ",
  ),
);

/** The words of a question that are worth a search, the longest first: they say most. */
export function termsOf(question: string): string[] {
  const words =
    question
      .toLowerCase()
      .replace(/@\w+/g, "")
      .match(/[a-z][a-z-]{2,}/g) ?? [];
  const terms = [...new Set(words)].filter((word) => !SMALL_WORDS.has(word));
  return terms.sort((a, b) => b.length - a.length);
}

/** Looks for a file by what is asked, opens it, and quotes it. */
const scout: Script = (question, [search, read]) => {
  const term = termsOf(question)[0] ?? "session";
  if (search === undefined)
    return {
      say: `Let me see where the code speaks of *${term}*.`,
      call: { toolName: "search_files", input: { text: term } },
    };
  const best = mostFrequent(search.hits ?? [])[0];
  if (best === undefined)
    return {
      say: `Nothing here speaks of *${term}*. Ask me about **stop**, **token**, **tools** or **scroll**: those are in the folder.`,
    };
  if (read === undefined)
    return {
      say: `\`${best.path}\` has most of it. I will open it there.`,
      call: { toolName: "read_file", input: { path: best.path, from: Math.max(1, best.firstLine - 2) } },
    };
  return { say: quotation(term, read) };
};

function quotation(term: string, { path = "", from = 1, lines = [], total = 0 }: Result): string {
  const at = Math.max(0, lines.findIndex((line) => line.toLowerCase().includes(term)) - 1);
  const quoted = lines.slice(at, at + QUOTED_MAX);
  const language = /\.(\w+)$/.exec(path)?.[1] ?? "";
  return [
    `Here it is, \`${path}\` from line ${from + at} on (it has ${total}):`,
    [`\`\`\`${language}`, ...quoted, "```"].join("\n"),
    `I read this from disk just now, with the **read_file** call above. Every word of this answer is an event of the session: reload the page, or open it in a second window, and it goes on where it is.`,
  ].join("\n\n");
}

/** Searches the folder and counts. */
const tally: Script = (question, [search, counted]) => {
  const term = termsOf(question)[0] ?? "session";
  if (search === undefined)
    return {
      say: `I will count how often *${term}* comes up.`,
      call: { toolName: "search_files", input: { text: term } },
    };
  const found = mostFrequent(search.hits ?? []).slice(0, ROWS_MAX);
  if (found.length === 0) return { say: `**None** of the files holds *${term}*.` };
  if (counted === undefined)
    return {
      say: "And how long those files are.",
      call: { toolName: "count_lines", input: { paths: found.map(({ path }) => path) } },
    };
  return { say: table(term, search.total ?? 0, found, counted) };
};

function table(term: string, total: number, found: readonly Found[], { files = [] }: Result): string {
  const linesOf = (path: string): number =>
    files.flatMap((file) => (typeof file !== "string" && file.path === path ? [file.lines] : []))[0] ?? 0;
  const rows = found.map(({ path, count }) => `| \`${path}\` | ${count} | ${linesOf(path)} |`);
  return [
    `*${term}* stands in **${total} lines**. ${found.length === 1 ? "The only file:" : "The files that have most of them:"}`,
    ["| file | hits | lines |", "| --- | ---: | ---: |", ...rows].join("\n"),
    `That is ${share(found, linesOf)} of what these files say.`,
  ].join("\n\n");
}

function share(found: readonly Found[], linesOf: (path: string) => number): string {
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const lines = sum(found.map(({ path }) => linesOf(path)));
  return `${((100 * sum(found.map(({ count }) => count))) / Math.max(1, lines)).toFixed(1)} %`;
}

interface Found {
  readonly path: string;
  readonly count: number;
  readonly firstLine: number;
}

function mostFrequent(hits: readonly Hit[]): Found[] {
  const found = new Map<string, Found>();
  for (const { path, line } of hits) {
    const { count, firstLine } = found.get(path) ?? { count: 0, firstLine: line };
    found.set(path, { path, count: count + 1, firstLine });
  }
  return [...found.values()].sort((a, b) => b.count - a.count || (a.path < b.path ? -1 : 1));
}

/** By the ids of the cast. */
export const SCRIPTS: Readonly<Record<string, Script>> = { scout, tally };
