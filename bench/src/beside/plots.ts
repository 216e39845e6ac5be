import { CURVE } from "../load-task.js";
import { median } from "../row.js";
import { type Chart, chartPage } from "./chart.js";
import { type Comparison, type Line, valuesOf } from "./comparison.js";

const PERCENTILES = [
  [0.5, "p50"],
  [0.9, "p90"],
  [0.99, "p99"],
  [0.999, "p99.9"],
  [0.9999, "p99.99"],
] as const;

/** Latency by percentile for every variant that has it, and the main measure over the load where that rises. */
export function plotOf(name: string, comparison: Comparison): string | undefined {
  const charts = [...overLoad(name, comparison), ...latencies(name, comparison)];
  return charts.length === 0 ? undefined : chartPage(charts);
}

function overLoad(name: string, { lines, measures: [main] }: Comparison): Chart[] {
  const loads = [...new Set(lines.flatMap(({ load }) => load ?? []))];
  if (loads.length < 2) return [];
  const point = (line: Line): [number, number][] => {
    const values = valuesOf(line, main.key);
    return line.load === undefined || values.length === 0 ? [] : [[Math.log2(line.load), median(values)]];
  };
  return [
    {
      title: name,
      xTitle: "connections",
      yTitle: main.title,
      xTicks: loads.map((load) => [Math.log2(load), String(load)] as const),
      logarithmicY: false,
      series: contendersOf(lines).map((contender) => ({
        name: contender,
        points: lines.filter((line) => line.contender === contender).flatMap(point),
      })),
    },
  ];
}

function latencies(name: string, { lines }: Comparison): Chart[] {
  const variants = [...new Set(lines.filter(hasCurve).map(({ variant }) => variant))];
  return variants.map((variant) => ({
    title: `${name}: ${variant}`,
    xTitle: "percentile",
    yTitle: "ms",
    xTicks: PERCENTILES.map(([quantile, label]) => [nines(quantile), label] as const),
    logarithmicY: true,
    // Every contender has its place, also without a line here: its colour is the same in all charts.
    series: contendersOf(lines).map((contender) => ({
      name: contender,
      points: lines
        .filter((line) => line.variant === variant && line.contender === contender && hasCurve(line))
        .flatMap(curveOf),
    })),
  }));
}

function hasCurve({ rounds }: Line): boolean {
  return rounds.some(({ curve }) => curve !== undefined);
}

/** The median of the rounds at each percentile. */
function curveOf({ rounds }: Line): [x: number, y: number][] {
  const curves = rounds.flatMap(({ curve }) => (curve === undefined ? [] : [curve]));
  return CURVE.map((quantile, at) => [nines(quantile), median(curves.map((curve) => curve[at] ?? 0))]);
}

/** 0.9 is one, 0.99 two: tails are drawn as wide as what comes before them. */
function nines(quantile: number): number {
  return -Math.log10(1 - quantile);
}

function contendersOf(lines: readonly Line[]): string[] {
  return [...new Set(lines.map(({ contender }) => contender))];
}
