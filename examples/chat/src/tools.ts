import { tool } from "ai";
import { z } from "zod";
import { listFiles, readLines, searchFiles } from "./folder.js";

const LINES_MAX = 80;
const HITS_MAX = 200;

/** What agents can do. A result is part of the answer: it stands in the session, and is shown. */
export const TOOLS = {
  list_files: tool({
    description: "Names the files of the folder.",
    inputSchema: z.object({}),
    execute: async () => ({ files: await listFiles() }),
  }),
  read_file: tool({
    description: `Reads at most ${LINES_MAX} lines of a file, from a line on.`,
    inputSchema: z.object({ path: z.string(), from: z.number().int().min(1).default(1) }),
    execute: async ({ path, from }) => {
      const lines = await readLines(path);
      return { path, from, lines: lines.slice(from - 1, from - 1 + LINES_MAX), total: lines.length };
    },
  }),
  search_files: tool({
    description: "Finds the lines that hold a text, whatever its case.",
    inputSchema: z.object({ text: z.string().min(2) }),
    execute: async ({ text }) => {
      const hits = await searchFiles(text);
      return { hits: hits.slice(0, HITS_MAX), total: hits.length };
    },
  }),
  count_lines: tool({
    description: "Counts the lines of files.",
    inputSchema: z.object({ paths: z.array(z.string()).min(1) }),
    execute: async ({ paths }) => ({
      files: await Promise.all(paths.map(async (path) => ({ path, lines: (await readLines(path)).length }))),
    }),
  }),
};
