import { expect, test } from "vitest";
import { CURVE } from "../load-task.js";
import type { Comparison, Line } from "./comparison.js";
import { plotOf } from "./plots.js";

function line(variant: string, contender: string, rates: readonly number[], load?: number): Line {
  const curve = CURVE.map((_, at) => at + 1);
  return {
    variant,
    contender,
    ...(load !== undefined && { load }),
    rounds: rates.map((rate) => ({ values: { rate }, curve, notes: [] })),
  };
}

function comparison(lines: readonly Line[]): Comparison {
  return { title: "appends", measures: [{ key: "rate", title: "events/s" }], lines, goals: [] };
}

/** By the text of its label. */
function colourOf(svg: string, name: string): string[] {
  return [...svg.matchAll(new RegExp(`fill="(#\\w+)">${name}<`, "g"))].map(([, colour]) => colour ?? "");
}

test("a rising load is drawn as a curve, and each of its points as percentiles", () => {
  const lines = [line("1 connection", "daybook", [10, 30], 1), line("16 connections", "daybook", [90], 16)];
  const svg = plotOf("appends", comparison(lines));
  expect(svg?.match(/<polyline/g)).toHaveLength(3);
  expect(svg).toContain(">appends (events/s)<");
  expect(svg).toContain(">appends: 16 connections (ms)<");
});

test("a contender without a figure takes nobody's colour, and its name is not drawn", () => {
  const lines = [
    line("one", "daybook", [1]),
    line("one", "redis", [1]),
    line("one", "nats", [1]),
    line("two", "daybook", [1]),
    line("two", "redis", []),
    line("two", "nats", [1]),
  ];
  const svg = plotOf("appends", comparison(lines)) ?? "";
  expect(colourOf(svg, "redis")).toHaveLength(1);
  expect(new Set(colourOf(svg, "nats")).size).toBe(1);
  expect(colourOf(svg, "nats")).toHaveLength(2);
});

test("nothing with a curve is no picture", () => {
  const bare = { variant: "one", contender: "daybook", rounds: [{ values: { rate: 1 }, notes: [] }] };
  expect(plotOf("appends", comparison([bare]))).toBeUndefined();
});
