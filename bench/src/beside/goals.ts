import { judged, median, type Row, spread } from "../row.js";
import { type Comparison, DAYBOOK, type Line, ratiosToDaybook, valuesOf } from "./comparison.js";

/** Goals on how much more Daybook does than others, of the main measure, in one variant. */
export function daybookTo(
  comparison: Comparison,
  variant: string,
  goals: Readonly<Record<string, number>>,
): Row[] {
  return Object.entries(goals).flatMap(([contender, atLeast]) => {
    const ratios = ratiosTo(comparison, lineOf(comparison, variant, contender));
    if (ratios.length === 0) return [];
    const name = `daybook : ${contender}, ${variant}`;
    return [judged({ name, value: median(ratios), unit: "ratio", note: spread(ratios) }, { atLeast })];
  });
}

/** Goals on Daybook's own figures in one variant, by measure. */
export const daybookAtMost = goalsOnDaybook((atMost) => ({ atMost }));
export const daybookAtLeast = goalsOnDaybook((atLeast) => ({ atLeast }));

function goalsOnDaybook(goalOf: (bound: number) => Parameters<typeof judged>[1]) {
  return (comparison: Comparison, variant: string, goals: Readonly<Record<string, number>>): Row[] => {
    const line = lineOf(comparison, variant, DAYBOOK);
    return Object.entries(goals).flatMap(([key, bound]) => {
      const values = line === undefined ? [] : valuesOf(line, key);
      const title = comparison.measures.find((measure) => measure.key === key)?.title ?? key;
      if (values.length === 0) return [];
      const figure = {
        name: `daybook, ${variant}`,
        value: median(values),
        unit: title,
        note: spread(values),
      };
      return [judged(figure, goalOf(bound))];
    });
  };
}

function lineOf({ lines }: Comparison, variant: string, contender: string): Line | undefined {
  return lines.find((line) => line.variant === variant && line.contender === contender);
}

function ratiosTo(comparison: Comparison, line: Line | undefined): number[] {
  return line === undefined ? [] : ratiosToDaybook(comparison, line).map((ratio) => 1 / ratio);
}
