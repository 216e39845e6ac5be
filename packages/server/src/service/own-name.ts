/** Names kept at once. When they are too many all are let go: they are only a saving. */
const NAMES_MAX = 1_024;

const names = new Map<string, string>();

/**
 * The same name as a string of its own. One cut out of a body is a pointer into it for V8, which keeps the whole body,
 * up to megabytes, for as long as the name is remembered: and a session remembers its producers. Writers come
 * back, so a name is copied once and not with every event.
 */
export function ownName(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  // What comes out of a parser's buffer shares nothing; lone surrogates survive, which they would not in UTF-8.
  const own = JSON.parse(JSON.stringify(name)) as string;
  if (names.size >= NAMES_MAX) names.clear();
  names.set(own, own);
  return own;
}
