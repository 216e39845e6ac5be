import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { PUBLIC_URL } from "./connect.js";

export interface PageServer {
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  readonly close: () => Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** The page is made of what comes from here, speaks with Daybook beside, and stands in nobody else's. */
const HEADERS = {
  "content-security-policy": [
    "default-src 'self'",
    `connect-src 'self' ${PUBLIC_URL} ${PUBLIC_URL.replace(/^http/, "ws")}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/**
 * The page: as it was built, out of `CHAT_PAGE`; without that, made by Vite as it is asked for.
 *
 * @param server through it Vite tells pages what was changed
 */
export async function servePage(server: Server): Promise<PageServer> {
  const built = process.env["CHAT_PAGE"];
  if (built === undefined) return servedByVite(server);
  return { serve: fromFolder(built), close: () => Promise.resolve() };
}

async function servedByVite(server: Server): Promise<PageServer> {
  // Where the page is built already, Vite need not be there.
  const { createServer } = await import("vite");
  const root = fileURLToPath(new URL("../page/", import.meta.url));
  const vite = await createServer({
    root,
    server: { middlewareMode: true, hmr: { server } },
    logLevel: "warn",
  });
  return {
    serve: (request, response) => vite.middlewares(request, response),
    close: () => vite.close(),
  };
}

function fromFolder(folder: string): PageServer["serve"] {
  return async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://page");
    // Leading dots are gone once it is normal: nothing outside of the folder has a name here.
    const name = normalize(decodeURIComponent(pathname));
    const file = join(folder, name === "/" ? "index.html" : name);
    const found = await stat(file).catch(() => undefined);
    if (found?.isFile() !== true) {
      response.writeHead(404, { "content-type": "text/plain" }).end("Not found.");
      return;
    }
    // Vite names what it builds by its content.
    const isForEver = name.startsWith("/assets/");
    response.writeHead(200, {
      ...HEADERS,
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "cache-control": isForEver ? "public, max-age=31536000, immutable" : "no-cache",
    });
    createReadStream(file).pipe(response);
  };
}
