import { LIMITS } from "./limits.js";

/**
 * Why a text cannot be an id (of a session, producer, tenant …), or undefined when it can. The rules follow from
 * what carries ids: they stand in URL paths (`/`, `.` and `..` would be eaten) and in headers and logs (controls).
 */
export function whyNotAnId(text: string): string | undefined {
  if (text.length === 0) return "must not be empty";
  if (text.length > LIMITS.idCharactersMax) return `must be at most ${LIMITS.idCharactersMax} characters`;
  if (text === "." || text === "..") return 'must not be "." or ".."';
  if (text.includes("/")) return "must not contain /";
  return whyNotPlainText(text);
}

/** Why a text cannot be a name (event type, actor, source …): control characters and broken surrogates. */
export function whyNotAName(text: string): string | undefined {
  if (text.length === 0) return "must not be empty";
  if (text.length > LIMITS.idCharactersMax) return `must be at most ${LIMITS.idCharactersMax} characters`;
  return whyNotPlainText(text);
}

/** Why a text cannot stand in logs, headers, terminals and keys of the views, however long it is. */
export function whyNotPlainText(text: string): string | undefined {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return "must not contain control characters";
  }
  return text.isWellFormed() ? undefined : "must be well-formed Unicode";
}

export type PrincipalType = "user" | "agent" | "service";

/** Who acts: a person, an agent or a service of one tenant. */
export interface Principal {
  readonly tenant: string;
  readonly type: PrincipalType;
  readonly id: string;
}

/** How a principal appears as an event's `actor`. */
export function actorOf(principal: Principal): string {
  return `${principal.type}:${principal.id}`;
}
