import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { within } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";

const DAYBOOK = fileURLToPath(new URL("../../packages/cli/bin/daybook.js", import.meta.url));

describe("what `daybook serve` prints to try", () => {
  test.each(["none", "jwt"])("works as it is printed, with --auth %s", async (auth) => {
    const home = await mkdtemp(join(tmpdir(), "daybook banner "));
    // `npx daybook` as after an installation.
    await writeFile(join(home, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${DAYBOOK}" "$@"\n`);
    await chmod(join(home, "npx"), 0o755);
    const env = { PATH: `${home}:${process.env["PATH"] ?? ""}`, DAYBOOK_LOG_LEVEL: "silent" };
    const args = [
      "serve",
      "--auth",
      auth,
      "--port",
      "0",
      "--ops-port",
      "0",
      "--data-dir",
      join(home, "it's data"),
    ];
    const server = spawn(process.execPath, [DAYBOOK, ...args], { stdio: ["ignore", "pipe", "inherit"], env });
    let banner = "";
    server.stdout.setEncoding("utf8");
    while (!/tail[^\n]*\n/.test(banner)) banner += String((await once(server.stdout, "data"))[0]);
    const [, url] = /^Daybook listens on (\S+)$/m.exec(banner) ?? [];
    // Keys name the URL by which clients look for the server: whoever deploys it has to see which that is.
    expect(banner.includes(`look for this server at ${url} (--public-url)`)).toBe(auth === "jwt");
    const lines = banner
      .slice(banner.indexOf("Try it:"))
      .split("\n")
      .slice(1)
      .filter((line) => line.trim() !== "");
    // The tail would go on for ever.
    const script = lines.join("\n").replace("curl -sN", "curl -sN --max-time 1");
    const shell = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "pipe"], env });
    let printed = "";
    shell.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
    await within("the lines have run", once(shell, "close"));
    expect(printed).toContain('"id":"ses_demo"');
    expect(printed).toContain('"seq":1');
    expect(printed).toContain("id: 1\ndata: {");
    expect(printed).not.toContain('"error"');
    server.kill("SIGTERM");
    expect((await once(server, "exit"))[0]).toBe(0);
    await rm(home, { recursive: true, force: true });
  });
});
