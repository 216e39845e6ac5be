import { InvalidArgumentError } from "commander";
import { openObject } from "./event-text.js";
import { messageOf } from "./failures.js";

/** A whole number from `minimum` up, for commander. */
export function wholeNumberFrom(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`It must be a whole number from ${minimum} up.`);
    }
    return value;
  };
}

/** A JSON object, kept as the text it is. */
export function jsonObject(text: string): string {
  try {
    openObject(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`It ${messageOf(error)}.`);
  }
}

export function nonEmpty(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

/** The name of an agent or a user. Whoever writes the whole actor, `agent:drafter`, means no agent of that name. */
export function nameOf(type: "agent" | "user"): (text: string) => string {
  return (text) => nonEmpty(text.startsWith(`${type}:`) ? text.slice(type.length + 1) : text);
}

/** `agent:drafter`; a bare name is an agent's. */
export function actorFrom(text: string): string {
  const actor = text.includes(":") ? text : `agent:${text}`;
  if (!/^[^:]+:./.test(actor) || text === "")
    throw new InvalidArgumentError("It must be like agent:drafter.");
  return actor;
}

/** Adds a value of an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90d`, `12h`, `30m`, `45s`, or a number of seconds. */
export function durationSeconds(text: string): number {
  const [, count = "", unit = "s"] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  const seconds = Number(count) * (SECONDS[unit] ?? 1);
  if (count === "" || seconds === 0) throw new InvalidArgumentError("It must be like 90d, 12h, 30m or 45s.");
  return seconds;
}

/** `a,b`, or several options, or both. */
export function commaList(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...value.split(",").flatMap((item) => item.trim() || [])];
}
