import { DaybookError } from "@daybook/protocol";

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host) || host === "::1";
}

/** Which web pages may call. */
export interface OriginPolicy {
  readonly allowed: readonly string[];
  /** With auth off, only this machine may call, however the request got here. */
  readonly loopbackOnly: boolean;
}

/**
 * Keeps web pages out of a server that asks for no token. A page on the internet can make a browser call localhost
 * (its Origin tells), and can rebind its own name to 127.0.0.1 (its Host tells).
 *
 * @returns what the answer allows: an origin, `*`, or undefined when the caller is no web page.
 * @throws DaybookError forbidden_origin
 */
export function checkOrigin(
  headers: { readonly host?: string | undefined; readonly origin?: string | undefined },
  policy: OriginPolicy,
): string | undefined {
  const { host, origin } = headers;
  if (policy.loopbackOnly && !isForLoopback(host)) {
    throw new DaybookError(
      "forbidden_origin",
      `The Host header is ${JSON.stringify(host ?? "")}; without auth this server answers to localhost only.`,
    );
  }
  if (policy.allowed.includes("*")) return "*";
  if (origin === undefined) return undefined;
  if (policy.allowed.includes(origin)) return origin;
  if (policy.loopbackOnly && URL.canParse(origin) && isLoopback(new URL(origin).hostname)) return origin;
  throw new DaybookError(
    "forbidden_origin",
    `Pages of ${JSON.stringify(origin.slice(0, 200))} may not call this server. Start it with --allow-origin to let them.`,
  );
}

/** Is this request's `Host` one that only this machine goes by? */
export function isForLoopback(host: string | undefined): boolean {
  return isLoopback(hostName(host));
}

function hostName(host: string | undefined): string {
  if (host === undefined) return "";
  return host.replace(/:\d+$/, "");
}
