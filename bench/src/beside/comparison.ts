import type { Cores } from "./cores-clock.js";
import { median, type Row, showNumber, table } from "../row.js";

/** A figure that is taken in every round. */
export interface Measure {
  readonly key: string;
  /** Column head, with its unit. */
  readonly title: string;
}

/** What one contender did in one round of one variant. */
export interface Round {
  /** By the keys of the measures. */
  readonly values: Readonly<Record<string, number>>;
  /** Latency in ms at `CURVE`. */
  readonly curve?: readonly number[];
  /** Whose CPU time it took. */
  readonly cores?: Cores;
  readonly notes: readonly string[];
}

export interface Line {
  readonly variant: string;
  readonly contender: string;
  /** Where it stands on a curve over the variants. */
  readonly load?: number;
  readonly rounds: readonly Round[];
  /** Why there are fewer rounds than wanted. */
  readonly failed?: string;
}

/** A scenario's outcome: every contender in every variant. */
export interface Comparison {
  readonly title: string;
  /** The first one is what ratios are made of. */
  readonly measures: readonly [Measure, ...Measure[]];
  readonly lines: readonly Line[];
  readonly goals: readonly Row[];
}

export const DAYBOOK = "daybook";

export function valuesOf({ rounds }: Line, key: string): number[] {
  return rounds.map(({ values }) => values[key]).filter((value) => value !== undefined);
}

/** A contender's rounds over Daybook's, pair by pair: both saw the same machine. */
export function ratiosToDaybook({ lines, measures: [main] }: Comparison, line: Line): number[] {
  const daybook = lines.find(({ variant, contender }) => variant === line.variant && contender === DAYBOOK);
  if (daybook === undefined) return [];
  const below = valuesOf(daybook, main.key);
  return valuesOf(line, main.key).flatMap((value, round) => {
    const base = below[round];
    return base === undefined ? [] : [value / base];
  });
}

/** For people: a line for each contender in each variant. */
export function comparisonTable(comparison: Comparison): string {
  const { title, measures, lines, goals } = comparison;
  const [main, ...others] = measures;
  const head = ["", "", main.title, "spread", "× Daybook", "spread"];
  head.push(...others.map((one) => one.title), "cores: server + load + others", "note");
  const cells = lines.map((line, index) => {
    const values = valuesOf(line, main.key);
    const ratios = ratiosToDaybook(comparison, line);
    const notes = [...new Set(line.rounds.flatMap((round) => round.notes))];
    return [
      lines[index - 1]?.variant === line.variant ? "" : line.variant,
      line.contender,
      medianText(values),
      rangeText(values),
      ...(line.contender === DAYBOOK ? ["1", ""] : [medianText(ratios), rangeText(ratios)]),
      ...others.map(({ key }) => medianText(valuesOf(line, key))),
      coresText(line),
      [...notes, ...(line.failed === undefined ? [] : [line.failed])].join("; "),
    ];
  });
  const text = `${title}\n${aligned([head, ...cells])}`;
  return goals.length === 0 ? text : `${text}\n${table(goals)}`;
}

function coresText({ rounds }: Line): string {
  const cores = rounds.flatMap((round) => round.cores ?? []);
  if (cores.length === 0) return "–";
  const shown = (who: keyof Cores): string => median(cores.map((one) => one[who])).toFixed(2);
  return `${shown("server")} + ${shown("load")} + ${shown("others")}`;
}

function medianText(values: readonly number[]): string {
  return values.length === 0 ? "–" : showNumber(median(values));
}

function rangeText(values: readonly number[]): string {
  if (values.length < 2) return values.length === 1 ? "1 round" : "";
  return `${showNumber(Math.min(...values))} to ${showNumber(Math.max(...values))}`;
}

/** Names to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const isText = (column: number): boolean => column < 2 || column === columns - 1;
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
    .concat("\n");
}
