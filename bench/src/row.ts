/** One figure of a run, as it is printed and kept in the results file. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it should be, as text: `≥ 0.7`. Without one the figure is only reported. */
  readonly goal?: string;
  readonly met?: boolean;
  /** What a reader must know to judge the figure: its spread, or that the load generator was the limit. */
  readonly note?: string;
}

/** A row with a goal, judged. */
export function judged(
  figure: Omit<Row, "goal" | "met">,
  goal: { readonly atLeast: number } | { readonly atMost: number },
): Row {
  if ("atLeast" in goal)
    return { ...figure, goal: `≥ ${showNumber(goal.atLeast)}`, met: figure.value >= goal.atLeast };
  return { ...figure, goal: `≤ ${showNumber(goal.atMost)}`, met: figure.value <= goal.atMost };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error("there is no median of nothing");
  return (low + high) / 2;
}

/** The range of what was measured, round by round. */
export function spread(values: readonly number[]): string {
  if (values.length < 2) return "1 round";
  return `${showNumber(Math.min(...values))} to ${showNumber(Math.max(...values))} in ${values.length} rounds`;
}

/** Three digits that mean something, thousands apart. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return Number(value.toFixed(digits)).toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** For people. */
export function table(rows: readonly Row[]): string {
  const header = ["", "value", "unit", "goal", "met", "note"];
  const cells = rows.map(({ name, value, unit, goal = "", met, note = "" }) => [
    name,
    showNumber(value),
    unit,
    goal,
    met === undefined ? "" : met ? "yes" : "NO",
    note,
  ]);
  const widths = header.map((head, column) =>
    Math.max(head.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  const show = (line: readonly string[]): string =>
    line
      .map((cell, column) =>
        column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [show(header), ...cells.map(show), ""].join("\n");
}
