import { DaybookError, type ErrorCode, whyNotAName } from "@daybook/protocol";

/** A query string, decoded strictly. Which error a bad one is depends on the route, so it is said when asked. */
export class Query {
  private constructor(
    private readonly pairs: readonly (readonly [string, string])[],
    private readonly bad: string | undefined,
  ) {}

  static parse(text: string): Query {
    const pairs: [string, string][] = [];
    for (const part of text.split("&")) {
      if (part === "") continue;
      const at = part.indexOf("=");
      const name = at < 0 ? part : part.slice(0, at);
      const value = at < 0 ? "" : part.slice(at + 1);
      try {
        pairs.push([decode(name), decode(value)]);
      } catch {
        // decodeURIComponent says nothing beyond "malformed"; the part itself is what helps.
        return new Query(pairs, isSecret(name) ? `${name}=…` : part);
      }
    }
    return new Query(pairs, undefined);
  }

  /** @throws DaybookError when some part is not percent-encoded UTF-8. */
  refuseBad(code: ErrorCode): void {
    if (this.bad === undefined) return;
    throw new DaybookError(
      code,
      `The query is not percent-encoded UTF-8 at ${JSON.stringify(this.bad.slice(0, 80))}.`,
    );
  }

  has(name: string): boolean {
    return this.pairs.some(([other]) => other === name);
  }

  /** The value of a parameter. @throws DaybookError when it is given twice. */
  one(name: string, code: ErrorCode): string | undefined {
    this.refuseBad(code);
    const values = this.pairs.filter(([other]) => other === name);
    if (values.length > 1)
      throw new DaybookError(code, `${name} is given ${values.length} times; give it once.`);
    return values[0]?.[1];
  }

  /** A whole number, plainly written. */
  integer(name: string, code: ErrorCode, bounds: { minimum: number; maximum: number }): number | undefined {
    const text = this.one(name, code);
    if (text === undefined) return undefined;
    const value = Number(text);
    const good = /^(0|[1-9]\d*)$/.test(text) && value >= bounds.minimum && value <= bounds.maximum;
    if (good) return value;
    const range =
      bounds.maximum === Number.MAX_SAFE_INTEGER
        ? `of at least ${bounds.minimum}`
        : `from ${bounds.minimum} to ${bounds.maximum}`;
    throw new DaybookError(
      code,
      `${name} must be a whole number ${range}, not ${JSON.stringify(text.slice(0, 40))}.`,
    );
  }

  /** A whole number; one out of range stands for the nearest that is in it. */
  clamped(name: string, code: ErrorCode, bounds: { minimum: number; maximum: number }): number | undefined {
    const text = this.one(name, code);
    if (text === undefined) return undefined;
    if (/^-?\d+$/.test(text)) return Math.min(Math.max(Number(text), bounds.minimum), bounds.maximum);
    throw new DaybookError(code, `${name} must be a whole number, not ${JSON.stringify(text.slice(0, 40))}.`);
  }

  /** `true` or `false`; left out it is false. */
  flag(name: string, code: ErrorCode): boolean {
    const text = this.one(name, code);
    if (text === undefined || text === "false") return false;
    if (text === "true") return true;
    throw new DaybookError(code, `${name} must be true or false, not ${JSON.stringify(text.slice(0, 40))}.`);
  }

  /** All parameters, in order. */
  all(): readonly (readonly [string, string])[] {
    return this.pairs;
  }
}

/** What must not be repeated, neither to the caller nor in a log. */
function isSecret(name: string): boolean {
  return /token/i.test(name);
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll("+", " "));
}

/** Where a reader stands: the last seq it has. */
export function readCursor(query: Query, name = "cursor"): number | undefined {
  return query.integer(name, "invalid_cursor", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
}

/** The actor of `agent=NAME`: only its events are wanted. @throws DaybookError for a name that no agent can have */
export function readAgent(query: Query): string | undefined {
  const name = query.one("agent", "invalid_request");
  if (name === undefined) return undefined;
  const why = whyNotAName(name);
  if (why !== undefined) throw new DaybookError("invalid_request", `agent ${why}.`);
  return `agent:${name}`;
}

/** A cursor beyond the end is a mistake: what it points behind was never written. */
export function refuseBeyond(cursor: number, lastSeq: number): void {
  if (cursor <= lastSeq) return;
  throw new DaybookError("invalid_cursor", `cursor is ${cursor}, the session's last seq is ${lastSeq}.`, {
    details: { last_seq: lastSeq },
  });
}
