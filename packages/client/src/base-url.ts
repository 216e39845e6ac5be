/**
 * A server's address without a slash at its end. In a page it may be relative to that.
 * @throws TypeError when it is none
 */
export function baseUrlOf(text: string): string {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  try {
    const { protocol, origin, pathname } = new URL(text, page);
    if (protocol === "http:" || protocol === "https:") return origin + pathname.replace(/\/+$/, "");
  } catch {
    // Said below.
  }
  throw new TypeError(`baseUrl must be an address such as http://127.0.0.1:4000, not "${text}".`);
}
