import { type JsonKind, JsonScanner } from "./scan-json.js";

export { JsonSyntaxError, type JsonSyntaxReason } from "./json-syntax-error.js";
export type { JsonKind } from "./scan-json.js";

/**
 * A JSON value kept as the exact text it came in: its key order, big numbers, spacing and escapes.
 *
 * `text` is a slice, and V8 lets a slice keep the whole text it was cut from in memory.
 */
export class RawJson {
  constructor(
    readonly text: string,
    readonly kind: JsonKind,
  ) {}
}

/**
 * Which parts of a JSON text to keep as text, and which to open.
 *
 * - `"raw"`: kept as RawJson.
 * - `"value"`: parsed, as JSON.parse would.
 * - `{ members }`: an object; each listed member is read by its own shape, others are validated, then dropped.
 * - `{ items }`: an array, read item by item.
 * - `{ values }`: an object used as a map; becomes a Map from member name to what the shape makes of the value.
 */
export type JsonShape =
  "raw" | "value" | { members: Record<string, JsonShape> } | { items: JsonShape } | { values: JsonShape };

/**
 * Parses `text` strictly (RFC 8259), refusing also member names given twice in one object, at any depth.
 *
 * Where `{ members }`, `{ items }` or `{ values }` meets another kind of value, the result has it as `"value"` would:
 * saying what is wrong with it is the schema's part. A member that is not in the text is not in the result.
 *
 * A shape is prepared at its first use and found again by identity: keep shapes in constants, and do not change them.
 *
 * @throws JsonSyntaxError when the text is no JSON, has a duplicate member, or nests more than `depthMax` levels.
 *
 * @example
 * parseJson('{"type": "note", "payload": {"n": 1.0}}', { members: { type: "value", payload: "raw" } }, { depthMax: 64 });
 * // { type: "note", payload: RawJson { text: '{"n": 1.0}', kind: "object" } }
 */
export function parseJson(text: string, shape: JsonShape, limits: { depthMax: number }): unknown {
  const scanner = new JsonScanner(text, limits.depthMax);
  const result = read(scanner, planOf(shape));
  scanner.expectEnd();
  return result;
}

/** A shape with its listed members as arrays: names are then compared inside the text, without cutting each out. */
type Plan =
  | { readonly kind: "raw" }
  | { readonly kind: "value" }
  | { readonly kind: "members"; readonly names: readonly string[]; readonly plans: readonly Plan[] }
  | { readonly kind: "items"; readonly item: Plan }
  | { readonly kind: "values"; readonly value: Plan };

type MembersPlan = Extract<Plan, { kind: "members" }>;

const RAW: Plan = { kind: "raw" };
const VALUE: Plan = { kind: "value" };
const preparedPlans = new WeakMap<object, Plan>();

function planOf(shape: JsonShape): Plan {
  if (shape === "raw") return RAW;
  if (shape === "value") return VALUE;
  let plan = preparedPlans.get(shape);
  if (plan === undefined) {
    plan = preparePlan(shape);
    preparedPlans.set(shape, plan);
  }
  return plan;
}

function preparePlan(shape: Exclude<JsonShape, string>): Plan {
  if ("items" in shape) return { kind: "items", item: planOf(shape.items) };
  if ("values" in shape) return { kind: "values", value: planOf(shape.values) };
  return {
    kind: "members",
    names: Object.keys(shape.members),
    plans: Object.values(shape.members).map(planOf),
  };
}

function read(scanner: JsonScanner, plan: Plan): unknown {
  switch (plan.kind) {
    case "raw":
      return readRaw(scanner);
    case "value":
      return readValue(scanner);
    case "members":
      return scanner.isObjectAhead() ? readMembers(scanner, plan) : readValue(scanner);
    case "items":
      return scanner.isArrayAhead() ? readItems(scanner, plan.item) : readValue(scanner);
    case "values":
      return scanner.isObjectAhead() ? readValues(scanner, plan.value) : readValue(scanner);
  }
}

function readRaw(scanner: JsonScanner): RawJson {
  scanner.peek();
  const start = scanner.position;
  const kind = scanner.skipValue();
  return new RawJson(scanner.text.slice(start, scanner.position), kind);
}

function readValue(scanner: JsonScanner): unknown {
  scanner.peek();
  const start = scanner.position;
  const kind = scanner.skipValue();
  if (kind === "string" && !scanner.stringEscaped) return scanner.text.slice(start + 1, scanner.position - 1);
  const text = scanner.text.slice(start, scanner.position);
  // What was validated can be left to the engine's own parser, which also makes `__proto__` an own property.
  return kind === "number" ? Number(text) : JSON.parse(text);
}

function readMembers(scanner: JsonScanner, plan: MembersPlan): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const names = scanner.openObject();
  // Writers mostly give members in one order, so the search for a name goes on where the last one was found.
  let expected = 0;
  while (scanner.nextMember(names)) {
    const found = findMember(scanner, plan.names, expected);
    const name = plan.names[found];
    const memberPlan = plan.plans[found];
    if (name === undefined || memberPlan === undefined) {
      scanner.skipValue();
    } else {
      setOwn(result, name, read(scanner, memberPlan));
      expected = found + 1;
    }
  }
  return result;
}

/** The index of the current member in `names`, looked for from `expected` on and around; past the end if not listed. */
function findMember(scanner: JsonScanner, names: readonly string[], expected: number): number {
  for (let index = expected; index < names.length; index++) {
    if (scanner.isMemberNamed(names[index] ?? "")) return index;
  }
  for (let index = 0; index < expected; index++) {
    if (scanner.isMemberNamed(names[index] ?? "")) return index;
  }
  return names.length;
}

/** Assigning to `__proto__` would set the prototype, and the member would be gone. */
function setOwn(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[name] = value;
  }
}

function readItems(scanner: JsonScanner, item: Plan): unknown[] {
  const result: unknown[] = [];
  scanner.openArray();
  for (let isFirst = true; scanner.nextItem(isFirst); isFirst = false) result.push(read(scanner, item));
  return result;
}

function readValues(scanner: JsonScanner, value: Plan): Map<string, unknown> {
  const result = new Map<string, unknown>();
  const names = scanner.openObject();
  while (scanner.nextMember(names)) {
    const name = scanner.memberName();
    result.set(name, read(scanner, value));
  }
  return result;
}
