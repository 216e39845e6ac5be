import { JsonScanner } from "./scan-json.js";

/**
 * Far above what any stored text nests, and far below where recursion would overflow the stack: text nested deeper is
 * refused with a JsonSyntaxError like any other that should not have come this far.
 */
const DEPTH_MAX = 1_024;

/**
 * Whether two valid JSON texts are the same value: the order of members, whitespace and the spelling of escapes do not
 * count, and numbers are compared exactly, as the decimals they are written as (1.0 is 10e-1, but 9007199254740993 is
 * not 9007199254740992).
 *
 * @throws JsonSyntaxError when the texts differ and one is no JSON, has duplicate members or nests over 1,024 levels.
 */
export function sameJson(a: string, b: string): boolean {
  return a === b || canonicalText(a) === canonicalText(b);
}

/** Equal for two texts just when they are the same value. Every item ends in a comma, so it is not quite JSON itself. */
function canonicalText(text: string): string {
  const scanner = new JsonScanner(text, DEPTH_MAX);
  const canonical = canonicalValue(scanner);
  scanner.expectEnd();
  return canonical;
}

function canonicalValue(scanner: JsonScanner): string {
  if (scanner.isObjectAhead()) return canonicalObject(scanner);
  if (scanner.isArrayAhead()) return canonicalArray(scanner);
  const start = scanner.position;
  const kind = scanner.skipValue();
  const text = scanner.text.slice(start, scanner.position);
  if (kind === "string") return JSON.stringify(JSON.parse(text));
  return kind === "number" ? canonicalNumber(text) : text;
}

function canonicalObject(scanner: JsonScanner): string {
  const members: { name: string; value: string }[] = [];
  for (const names = scanner.openObject(); scanner.nextMember(names);) {
    const name = scanner.memberName();
    members.push({ name, value: canonicalValue(scanner) });
  }
  // By code unit, not by locale: any total order does, if it is the same everywhere.
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  // Added up and not joined: a join would copy the innermost text once per level, adding leaves one copy to the end.
  let canonical = "{";
  for (const { name, value } of members) canonical += `${JSON.stringify(name)}:${value},`;
  return `${canonical}}`;
}

function canonicalArray(scanner: JsonScanner): string {
  let canonical = "[";
  scanner.openArray();
  for (let isFirst = true; scanner.nextItem(isFirst); isFirst = false)
    canonical += `${canonicalValue(scanner)},`;
  return `${canonical}]`;
}

/**
 * One spelling per decimal: the digits without zeros at either end, and the power of ten of the last one. The exponent
 * is only ever added to, never written out, so that 1e1000000000 costs no more than 1.
 */
function canonicalNumber(text: string): string {
  const sign = text.startsWith("-") ? "-" : "";
  const exponentAt = text.search(/[eE]/);
  const mantissa = text.slice(sign.length, exponentAt === -1 ? text.length : exponentAt);
  const pointAt = mantissa.indexOf(".");
  const fractionLength = pointAt === -1 ? 0 : mantissa.length - pointAt - 1;
  const { significant, zerosAfter } = withoutOuterZeros(mantissa.replace(".", ""));
  if (significant === "") return "0";
  const exponent = exponentAt === -1 ? "0" : text.slice(exponentAt + 1);
  return `${sign}${significant}e${addToInteger(exponent, zerosAfter - fractionLength)}`;
}

function withoutOuterZeros(digits: string): { significant: string; zerosAfter: number } {
  let start = 0;
  let end = digits.length;
  while (start < end && digits[start] === "0") start++;
  while (end > start && digits[end - 1] === "0") end--;
  return { significant: digits.slice(start, end), zerosAfter: digits.length - end };
}

/** Integers of up to this many digits, and their sums with a text length, are exact as JS numbers. */
const EXACT_DIGITS = 15;

/**
 * The decimal integer `text` plus `addend`, which counts digits in a text and so is small. By hand for long ones,
 * because turning a megabyte of exponent into a BigInt takes a third of a second.
 */
function addToInteger(text: string, addend: number): string {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[+-]?0*/, "");
  if (digits.length <= EXACT_DIGITS) return String(sign * Number(digits) + addend);
  const high = digits.slice(0, -EXACT_DIGITS);
  const low = Number(digits.slice(-EXACT_DIGITS)) + sign * addend;
  const carry = Math.floor(low / 10 ** EXACT_DIGITS);
  const lowDigits = String(low - carry * 10 ** EXACT_DIGITS).padStart(EXACT_DIGITS, "0");
  const sum = (carry === 0 ? high : stepInteger(high, carry)) + lowDigits;
  return `${sign < 0 ? "-" : ""}${sum.replace(/^0+/, "")}`;
}

/** A positive decimal integer of any length, one up (`by` is 1) or one down (`by` is -1). */
function stepInteger(digits: string, by: number): string {
  const rollsOver = by > 0 ? "9" : "0";
  let end = digits.length;
  while (end > 0 && digits[end - 1] === rollsOver) end--;
  const last = Number(digits.slice(Math.max(0, end - 1), end)) + by;
  return `${digits.slice(0, Math.max(0, end - 1))}${last}${(by > 0 ? "0" : "9").repeat(digits.length - end)}`;
}
