import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isForLoopback } from "./http/origin-guard.js";
import { SECURITY_HEADERS } from "./http/security-headers.js";
import type { Metrics } from "./metrics.js";

/** Health and metrics, on a port of their own that is never bound beyond this machine. */
export class OpsListener {
  private readonly server: Server;

  constructor(metrics: Metrics, isReady: () => boolean) {
    this.server = createServer((request, response) => {
      const path = request.url?.split("?")[0];
      const answer = (status: number, body: string, type = "text/plain; charset=utf-8"): void => {
        response.writeHead(status, { "content-type": type, ...SECURITY_HEADERS });
        response.end(request.method === "HEAD" ? undefined : body);
      };
      // A page on the internet can give its own name this machine's address.
      if (!isForLoopback(request.headers.host)) answer(403, "only for localhost\n");
      else if (request.method !== "GET" && request.method !== "HEAD") answer(405, "GET only\n");
      else if (path === "/health/live") answer(200, "live\n");
      else if (path === "/health/ready") answer(isReady() ? 200 : 503, isReady() ? "ready\n" : "not ready\n");
      else if (path === "/metrics") {
        metrics.registry.metrics().then(
          (text) => answer(200, text, metrics.registry.contentType),
          () => answer(500, "the metrics could not be collected\n"),
        );
      } else answer(404, "try /health/live, /health/ready or /metrics\n");
    });
  }

  async listen(port: number): Promise<string> {
    await listening(this.server, port, "127.0.0.1");
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
