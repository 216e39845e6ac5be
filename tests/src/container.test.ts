import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { validate } from "dockerfile-utils";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const dockerfile = readFileSync(`${repository}Dockerfile`, "utf8");
const compose = parse(readFileSync(`${repository}compose.yaml`, "utf8")) as {
  services: Record<string, { volumes: string[]; stop_grace_period: string; build: string }>;
  volumes: Record<string, unknown>;
};

describe("The container files, checked where no engine can run them", () => {
  it("The Dockerfile has nothing that Docker's own linter finds fault with", () => {
    const faults = validate(dockerfile);
    expect(faults.map(({ message, range }) => [range.start.line + 1, message])).toEqual([]);
  });

  it("The server does not run as root, says how to ask for its health, and gets the signals itself", () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf("FROM "));
    expect(last).toMatch(/^USER node$/m);
    expect(last).toMatch(/^HEALTHCHECK /m);
    expect(last).toMatch(/^VOLUME \/data$/m);
    expect(last).toMatch(/^ENTRYPOINT \["node", "packages\/cli\/bin\/daybook\.js"\]$/m);
    expect(existsSync(`${repository}packages/cli/bin/daybook.js`)).toBe(true);
  });

  it("Compose keeps the data in a volume and waits longer than a stop can take", () => {
    const { daybook } = compose.services;
    expect(daybook?.volumes).toContain("daybook-data:/data");
    expect(Object.keys(compose.volumes)).toContain("daybook-data");
    expect(Number.parseInt(daybook?.stop_grace_period ?? "0", 10)).toBeGreaterThan(10);
  });
});
