/** A drawing of lines, as SVG text. */
export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  /** Where x values are marked, and how. */
  readonly xTicks: readonly (readonly [value: number, label: string])[];
  readonly logarithmicY: boolean;
  readonly series: readonly Series[];
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 560;
const HEIGHT = 340;
const PLOT = { left: 70, right: 130, top: 40, bottom: 50 };
const COLUMNS = 2;
/** By the order of the series, one that has no points included; told apart without colours too, by their labels. */
const COLOURS = ["#0b5fff", "#d6331f", "#2f8f3a", "#b8860b", "#7b3fb5", "#444444"];

/** All charts on one page. */
export function chartPage(charts: readonly Chart[]): string {
  const rows = Math.ceil(charts.length / COLUMNS);
  const size = `width="${WIDTH * COLUMNS}" height="${HEIGHT * rows}"`;
  const drawn = charts.map((chart, index) => {
    const [x, y] = [(index % COLUMNS) * WIDTH, Math.floor(index / COLUMNS) * HEIGHT];
    return `<g transform="translate(${x} ${y})">\n${drawChart(chart)}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

interface Scale {
  (value: number): number;
}

function drawChart(chart: Chart): string {
  const xs = [...chart.xTicks.map(([value]) => value), ...chart.series.flatMap(xsOf)];
  const ys = chart.series.flatMap(({ points }) => points.map(([, y]) => y)).filter((y) => y > 0);
  const yTicks = chart.logarithmicY ? decadesOf(ys) : evenTicks(Math.max(0, ...ys));
  const x = scale([Math.min(...xs), Math.max(...xs)], [PLOT.left, WIDTH - PLOT.right]);
  const yRange = [HEIGHT - PLOT.bottom, PLOT.top] as const;
  const linearY = scale([0, Math.max(...yTicks)], yRange);
  const logY = scale([Math.log10(Math.min(...yTicks)), Math.log10(Math.max(...yTicks))], yRange);
  const y: Scale = chart.logarithmicY ? (value) => logY(Math.log10(value)) : linearY;
  return [
    text(PLOT.left, 20, `${chart.title} (${chart.yTitle})`, 'font-size="14" font-weight="bold"'),
    text((PLOT.left + WIDTH - PLOT.right) / 2, HEIGHT - 12, chart.xTitle, 'text-anchor="middle"'),
    ...yTicks.map((value) => gridLine(y(value), shortNumber(value))),
    ...chart.xTicks.map(([value, label]) =>
      text(x(value), HEIGHT - PLOT.bottom + 18, label, 'text-anchor="middle"'),
    ),
    ...chart.series.map((series, index) => drawSeries(series, COLOURS[index % COLOURS.length] ?? "", x, y)),
    ...labels(chart.series, y),
  ].join("\n");
}

function xsOf({ points }: Series): number[] {
  return points.map(([x]) => x);
}

function drawSeries({ points }: Series, colour: string, x: Scale, y: Scale): string {
  const path = drawable(points).map(([at, value]) => `${fixed(x(at))},${fixed(y(value))}`);
  return `<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`;
}

/** What has a place on an axis of powers too. */
function drawable(points: Series["points"]): Series["points"] {
  return points.filter(([, value]) => value > 0);
}

/** Names where the lines end, moved apart so that each can be read. */
function labels(series: readonly Series[], y: Scale): string[] {
  const ends = series
    .flatMap(({ name, points }, index) => {
      const last = drawable(points).at(-1);
      return last === undefined ? [] : [{ name, index, at: y(last[1]) }];
    })
    .sort((left, right) => left.at - right.at);
  let lowest = -Infinity;
  return ends.map(({ name, index, at }) => {
    lowest = Math.max(lowest + 14, at + 4);
    return text(WIDTH - PLOT.right + 8, lowest, name, `fill="${COLOURS[index % COLOURS.length] ?? ""}"`);
  });
}

function gridLine(at: number, label: string): string {
  const line = `<line x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${fixed(at)}" y2="${fixed(at)}" stroke="#ddd"/>`;
  return line + text(PLOT.left - 6, at + 4, label, 'text-anchor="end"');
}

function scale([from, to]: readonly [number, number], [low, high]: readonly [number, number]): Scale {
  return (value) => low + (to === from ? 0.5 : (value - from) / (to - from)) * (high - low);
}

/** The powers of ten around all values. */
function decadesOf(values: readonly number[]): number[] {
  if (values.length === 0) return [1, 10];
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: last - first + 1 }, (_, nth) => 10 ** (first + nth));
}

/** From 0 on, in steps that are easy to read. */
function evenTicks(most: number): number[] {
  if (most <= 0) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, nth) => nth * step);
}

function shortNumber(value: number): string {
  return value >= 10_000 ? `${Math.round(value / 1_000)}k` : String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, content: string, attributes = ""): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escaped}</text>`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}
