/** What a schema found, as far as it is looked at here. */
interface Finding {
  readonly keyword: string;
  /** A JSON pointer: `/events/3/refs`. */
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

export interface Fault {
  /** `events[3].refs`; empty for the whole. */
  readonly place: string;
  readonly why: string;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  object: "an object",
  array: "a list",
  null: "null",
};

/** The first thing that is wrong, where, and what would be right: a schema speaks to programmers, this to everybody. */
export function firstFault(findings: readonly Finding[]): Fault {
  const [first] = findings;
  if (first === undefined) return { place: "", why: "is not valid" };
  const place = placeOf(first.instancePath);
  const { requiredProperties: missing = [] } = first.params as { readonly requiredProperties?: string[] };
  const [name, ...others] = missing;
  if (name === undefined) return { place, why: whyOf(first, findings) };
  const more =
    others.length === 0 ? "" : `, and so ${others.length === 1 ? "is" : "are"} ${others.join(", ")}`;
  return { place: place === "" ? name : `${place}.${name}`, why: `is missing${more}` };
}

function whyOf({ keyword, instancePath, params, message }: Finding, findings: readonly Finding[]): string {
  const { limit, allowedValues } = params as { readonly limit?: number; readonly allowedValues?: unknown[] };
  switch (keyword) {
    case "type":
      return `must be ${kindsAt(instancePath, findings).join(" or ")}`;
    case "enum":
      return `must be one of ${allowedValues?.join(", ") ?? ""}`;
    case "minimum":
      return `must be at least ${limit ?? 0}`;
    case "maximum":
      return `must be at most ${limit ?? 0}`;
    case "minLength":
    case "minItems":
      return limit === 1 ? "must not be empty" : message;
    case "maxLength":
      return `must be at most ${limit ?? 0} characters`;
    default:
      return message;
  }
}

/** A union says for each of its members what was wrong with it. */
function kindsAt(path: string, findings: readonly Finding[]): string[] {
  return findings
    .filter(({ keyword, instancePath }) => keyword === "type" && instancePath === path)
    .map(({ params }) => String((params as { readonly type?: unknown }).type))
    .map((type) => KINDS[type] ?? type);
}

/** `/events/3/refs` → `events[3].refs`. */
function placeOf(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((part) =>
      /^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll("~1", "/").replaceAll("~0", "~")}`,
    )
    .join("")
    .replace(/^\./, "");
}
