/** What a token allows. */
export const SCOPES = [
  "session:create",
  "session:read",
  "session:append",
  "state:read",
  "state:write",
] as const;
export type Scope = (typeof SCOPES)[number];

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
