import { JsonSyntaxError } from "./json-syntax-error.js";

/** The six kinds of JSON value (RFC 8259, section 3). */
export type JsonKind = "object" | "array" | "string" | "number" | "boolean" | "null";

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const LEFT_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const RIGHT_BRACKET = 0x5d;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const LOWER_U = 0x75;
const LEFT_BRACE = 0x7b;
const RIGHT_BRACE = 0x7d;

// eslint-disable-next-line no-control-regex -- these are the characters that a JSON string must not hold.
const CONTROL_CHARACTER = /[\0-\x1f]/;

/** Comparing a name with all before it is cheaper than a Set up to about here; beyond, it would grow with the square. */
const COMPARED_NAMES_MAX = 16;

/** The names that one open object has given so far. */
export interface MemberNames {
  /** Where this object's names begin on the scanner's shared stack. */
  readonly base: number;
  count: number;
  /** The names as they read once unescaped; from when there are too many to compare, or one has an escape. */
  seen: Set<string> | undefined;
}

/**
 * Walks a JSON text strictly, once, from left to right: each method starts at `position` and leaves it after what it
 * read, or throws a JsonSyntaxError.
 *
 * It makes no values and, but for one small record per object, allocates nothing: every append goes through here.
 */
export class JsonScanner {
  position = 0;
  /** Whether the string read last has an escape, so that its text is not its value. */
  stringEscaped = false;

  private depth = 0;
  private nameStart = 0;
  private nameEnd = 0;
  private nameEscaped = false;
  /** Start and end of each name of every open object, innermost last: one stack for all of them. */
  private readonly nameBounds: number[] = [];
  private nameBoundsTop = 0;
  /** The first backslash at or after some place already read; the end of the text if there is none. */
  private backslash: number;
  private readonly hasControlCharacters: boolean;

  constructor(
    readonly text: string,
    private readonly depthMax: number,
  ) {
    this.backslash = this.findBackslash(0);
    // One search by the engine costs a third of looking at each character of each string here.
    this.hasControlCharacters = CONTROL_CHARACTER.test(text);
  }

  /** Skips whitespace; returns the code of the character ahead, NaN at the end of the text. */
  peek(): number {
    const text = this.text;
    let code = text.charCodeAt(this.position);
    while (code <= SPACE && isWhitespace(code)) code = text.charCodeAt(++this.position);
    return code;
  }

  isObjectAhead(): boolean {
    return this.peek() === LEFT_BRACE;
  }

  isArrayAhead(): boolean {
    return this.peek() === LEFT_BRACKET;
  }

  /** Refuses anything but whitespace after the text's one value. */
  expectEnd(): void {
    this.peek();
    if (this.position < this.text.length) this.fail("Expected the end of the text");
  }

  /** Reads to the end of the value ahead, validating all of it. Recurses, but never deeper than `depthMax`. */
  skipValue(): JsonKind {
    switch (this.peek()) {
      case QUOTE:
        this.skipString();
        return "string";
      case LEFT_BRACE:
        for (const names = this.openObject(); this.nextMember(names);) this.skipValue();
        return "object";
      case LEFT_BRACKET:
        this.openArray();
        for (let isFirst = true; this.nextItem(isFirst); isFirst = false) this.skipValue();
        return "array";
      case LOWER_T:
        this.skipWord("true");
        return "boolean";
      case LOWER_F:
        this.skipWord("false");
        return "boolean";
      case LOWER_N:
        this.skipWord("null");
        return "null";
      default:
        this.skipNumber();
        return "number";
    }
  }

  /** Enters the object ahead; then call `nextMember`, and read one value each time it returns true. */
  openObject(): MemberNames {
    this.enter();
    return { base: this.nameBoundsTop, count: 0, seen: undefined };
  }

  /** Reads on to the next member's value and returns true, or leaves the object and returns false. */
  nextMember(names: MemberNames): boolean {
    let code = this.peek();
    if (code === RIGHT_BRACE) {
      this.nameBoundsTop = names.base;
      this.leave();
      return false;
    }
    if (names.count > 0) {
      if (code !== COMMA) this.fail('Expected "," or "}"');
      this.position++;
      code = this.peek();
    }
    if (code !== QUOTE) this.fail("Expected a member name in double quotes");
    this.nameStart = this.position + 1;
    this.skipString();
    this.nameEnd = this.position - 1;
    this.nameEscaped = this.stringEscaped;
    this.addName(names);
    if (this.peek() !== COLON) this.fail('Expected ":" after the member name');
    this.position++;
    return true;
  }

  /** The name of the member that `nextMember` came to, unescaped; ask before reading the member's value. */
  memberName(): string {
    if (!this.nameEscaped) return this.text.slice(this.nameStart, this.nameEnd);
    return JSON.parse(this.text.slice(this.nameStart - 1, this.nameEnd + 1)) as string;
  }

  /** `memberName() === name`, without making a string. */
  isMemberNamed(name: string): boolean {
    if (this.nameEscaped) return this.memberName() === name;
    return this.nameEnd - this.nameStart === name.length && this.text.startsWith(name, this.nameStart);
  }

  /** Enters the array ahead; then call `nextItem`, and read one value each time it returns true. */
  openArray(): void {
    this.enter();
  }

  /** Reads on to the next item and returns true, or leaves the array and returns false. */
  nextItem(isFirst: boolean): boolean {
    const code = this.peek();
    if (code === RIGHT_BRACKET) {
      this.leave();
      return false;
    }
    if (isFirst) return true;
    if (code !== COMMA) this.fail('Expected "," or "]"');
    this.position++;
    return true;
  }

  private enter(): void {
    if (this.depth === this.depthMax) {
      throw new JsonSyntaxError(this.text, {
        reason: "too_deep",
        problem: `Expected at most ${this.depthMax} nested objects and arrays, met one more`,
        offset: this.position,
      });
    }
    this.depth++;
    this.position++;
  }

  private leave(): void {
    this.depth--;
    this.position++;
  }

  /** Notes the current member's name, and refuses one that its object has given before. */
  private addName(names: MemberNames): void {
    if (names.seen !== undefined || this.nameEscaped || names.count === COMPARED_NAMES_MAX) {
      const seen = (names.seen ??= this.collectNames(names));
      const name = this.memberName();
      if (seen.has(name)) this.failDuplicate();
      seen.add(name);
    } else {
      for (let at = names.base; at < this.nameBoundsTop; at += 2) {
        if (this.isNameAt(this.nameBounds[at] ?? 0, this.nameBounds[at + 1] ?? 0)) this.failDuplicate();
      }
      this.nameBounds[this.nameBoundsTop++] = this.nameStart;
      this.nameBounds[this.nameBoundsTop++] = this.nameEnd;
    }
    names.count++;
  }

  private isNameAt(start: number, end: number): boolean {
    const length = end - start;
    if (this.nameEnd - this.nameStart !== length) return false;
    const text = this.text;
    for (let index = 0; index < length; index++) {
      if (text.charCodeAt(start + index) !== text.charCodeAt(this.nameStart + index)) return false;
    }
    return true;
  }

  private collectNames(names: MemberNames): Set<string> {
    const seen = new Set<string>();
    for (let at = names.base; at < this.nameBoundsTop; at += 2) {
      seen.add(this.text.slice(this.nameBounds[at], this.nameBounds[at + 1]));
    }
    return seen;
  }

  /** A string's end is searched for, not walked to, unless an escape or a control character may be in the way. */
  private skipString(): void {
    if (this.hasControlCharacters) {
      this.walkString();
      return;
    }
    const start = this.position + 1;
    const quote = this.text.indexOf('"', start);
    if (this.backslash < start) this.backslash = this.findBackslash(start);
    if (quote === -1 || this.backslash < quote) {
      this.walkString();
      return;
    }
    this.position = quote + 1;
    this.stringEscaped = false;
  }

  private walkString(): void {
    const text = this.text;
    const length = text.length;
    let position = this.position + 1;
    let escaped = false;
    while (position < length) {
      const code = text.charCodeAt(position);
      if (code === QUOTE) {
        this.position = position + 1;
        this.stringEscaped = escaped;
        return;
      }
      if (code === BACKSLASH) {
        escaped = true;
        position = this.afterEscape(position);
      } else if (code < SPACE) {
        this.fail("Expected control characters in a string to be escaped", position);
      } else {
        position++;
      }
    }
    this.fail("Expected the string to be closed", length);
  }

  private findBackslash(start: number): number {
    const found = this.text.indexOf("\\", start);
    return found === -1 ? this.text.length : found;
  }

  private afterEscape(start: number): number {
    const code = this.text.charCodeAt(start + 1);
    if (code !== LOWER_U) {
      if (!isOneLetterEscape(code)) this.fail('Expected one of "\\/bfnrtu after a backslash', start);
      return start + 2;
    }
    for (let position = start + 2; position < start + 6; position++) {
      if (!isHexDigit(this.text.charCodeAt(position))) this.fail("Expected four hex digits after \\u", start);
    }
    return start + 6;
  }

  private skipNumber(): void {
    const text = this.text;
    if (text.charCodeAt(this.position) === MINUS) this.position++;
    const first = text.charCodeAt(this.position);
    if (first === DIGIT_0) {
      this.position++;
      if (isDigit(text.charCodeAt(this.position))) this.fail("Expected no digit after a leading zero");
    } else {
      this.skipDigits(text.charCodeAt(this.position - 1) === MINUS ? "Expected a digit" : "Expected a value");
    }
    if (text.charCodeAt(this.position) === POINT) {
      this.position++;
      this.skipDigits("Expected a digit after the decimal point");
    }
    if ((text.charCodeAt(this.position) | SPACE) === LOWER_E) {
      const sign = text.charCodeAt(++this.position);
      if (sign === PLUS || sign === MINUS) this.position++;
      this.skipDigits("Expected a digit in the exponent");
    }
  }

  private skipDigits(problem: string): void {
    const text = this.text;
    if (!isDigit(text.charCodeAt(this.position))) this.fail(problem);
    do this.position++;
    while (isDigit(text.charCodeAt(this.position)));
  }

  private skipWord(word: string): void {
    if (!this.text.startsWith(word, this.position)) this.fail("Expected a value");
    this.position += word.length;
  }

  private failDuplicate(): never {
    const member = this.memberName();
    const problem = "Expected each member name once in an object, met one again";
    throw new JsonSyntaxError(this.text, {
      reason: "duplicate_member",
      problem,
      offset: this.nameStart - 1,
      member,
    });
  }

  private fail(expected: string, offset = this.position): never {
    const problem = offset < this.text.length ? expected : `${expected}, met the end of the text`;
    throw new JsonSyntaxError(this.text, { reason: "syntax", problem, offset });
  }
}

function isWhitespace(code: number): boolean {
  return code === SPACE || code === LINE_FEED || code === CARRIAGE_RETURN || code === TAB;
}

function isDigit(code: number): boolean {
  return code >= DIGIT_0 && code <= DIGIT_9;
}

function isHexDigit(code: number): boolean {
  const lower = code | SPACE;
  return isDigit(code) || (lower >= 0x61 && lower <= LOWER_F);
}

function isOneLetterEscape(code: number): boolean {
  switch (code) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // "/"
    case 0x62: // "b"
    case LOWER_F:
    case LOWER_N:
    case 0x72: // "r"
    case LOWER_T:
      return true;
    default:
      return false;
  }
}
