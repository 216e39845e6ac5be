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

const QUOTED_MAX = 12;
const ROWS_MAX = 5;
/** Nobody looks for these. */
const SMALL_WORDS = new Set(
  "about are can does from have here how into its that the their them there these this those what when where which while who why with you your please show tell works work file files happens".split(
    " ",
  ),
);

/** The first word of a question that is worth a search, as it is written of one of them. */
export function termOf(question: string): string {
  const words =
    question
      .toLowerCase()
      .replace(/@\w+/g, "")
      .match(/[a-z][a-z-]{2,}/g) ?? [];
  const term = words.find((word) => !SMALL_WORDS.has(word)) ?? "session";
  return term.length > 4 ? term.replace(/s$/, "") : term;
}

/** Looks for a file by what is asked, opens it, and quotes it. */
const scout: Script = (question, [search, read]) => {
  const term = termOf(question);
  if (search === undefined)
    return {
      say: `Let me see where the code speaks of *${term}*.`,
      call: { toolName: "search_files", input: { text: term } },
    };
  const best = mostFrequent(search.hits ?? []).sort((a, b) => Number(b.isCode) - Number(a.isCode))[0];
  if (best === undefined)
    return {
      say: `Nothing here speaks of *${term}*. Ask me about **stop**, **token**, **tools** or **scroll**: those are in the folder.`,
    };
  if (read === undefined)
    return {
      say: `\`${best.path}\` says most about it. I will open it there.`,
      call: { toolName: "read_file", input: { path: best.path, from: best.line } },
    };
  return { say: quotation(read) };
};

function quotation({ path = "", from = 1, lines = [], total = 0 }: Result): string {
  const end = lines.findIndex((line) => /^[})]/.test(line)) + 1 || Infinity;
  const quoted = lines.slice(0, Math.min(end, QUOTED_MAX)).join("\n").trimEnd().split("\n");
  const indent = Math.min(...quoted.filter((line) => line !== "").map((line) => line.search(/\S/)));
  const language = /\.(\w+)$/.exec(path)?.[1] ?? "";
  return [
    `Here it is, from line ${from} of ${total}:`,
    [`\`\`\`${language}`, ...quoted.map((line) => line.slice(indent)), "```"].join("\n"),
    "I read it from disk just now. Each word of this is an event of the session: reload the page, or open it in a second window, and it goes on where it is.",
  ].join("\n\n");
}

/** Searches the folder and counts. */
const tally: Script = (question, [search, counted]) => {
  const term = termOf(question);
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
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const every = sum(found.map(({ path }) => linesOf(path))) / sum(found.map(({ count }) => count));
  return [
    `*${term}* stands in **${total} ${total === 1 ? "line" : "lines"}** of the folder. Most of them:`,
    ["| file | hits | lines |", "| --- | ---: | ---: |", ...rows].join("\n"),
    `In these files that is about one line in ${Math.round(every)}.`,
  ].join("\n\n");
}

interface Found {
  readonly path: string;
  readonly count: number;
  /** Where it is defined, or else the first hit that does something, rather than say or import it. */
  readonly line: number;
  readonly isCode: boolean;
}

function mostFrequent(hits: readonly Hit[]): Found[] {
  const paths = [...new Set(hits.map(({ path }) => path))];
  const found = paths.map((path): Found => {
    const own = hits.filter((hit) => hit.path === path);
    const first =
      own.find(({ text }) => isDefinition(text)) ?? own.find(({ text }) => isCode(text)) ?? own[0];
    return {
      path,
      count: own.length,
      line: first?.line ?? 1,
      isCode: /\.tsx?$/.test(path) && isCode(first?.text ?? ""),
    };
  });
  return found.sort((a, b) => b.count - a.count || (a.path < b.path ? -1 : 1));
}

function isDefinition(line: string): boolean {
  return /^\s*(export |async )*(function|class|interface|const \w+ = \(?\w*\)? ?=>)/.test(line);
}

function isCode(line: string): boolean {
  return !/^\s*(import|\/\/|\/?\*|$)/.test(line);
}

/** By the ids of the cast. */
export const SCRIPTS: Readonly<Record<string, Script>> = { scout, tally };
