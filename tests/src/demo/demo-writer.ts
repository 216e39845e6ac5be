import { spawn } from "node:child_process";
import { DAYBOOK, REPOSITORY } from "./demo-server.js";

/** A real command, recorded by `daybook exec`, and what it printed while being recorded. */
export interface DemoWriter {
  readonly actor: string;
  readonly command: readonly string[];
  /** Lines of standard output, as `exec` passed them through. */
  readonly lines: readonly string[];
  readonly exitCode: number;
}

export function record(
  session: string,
  server: { readonly url: string; readonly token: string | undefined },
  actor: string,
  command: readonly string[],
): Promise<DemoWriter> {
  const connection = [
    "--base-url",
    server.url,
    ...(server.token === undefined ? [] : ["--token", server.token]),
  ];
  // With auth on the key is exchanged for tokens of this actor.
  const as = ["--as", actor];
  const child = spawn(process.execPath, [DAYBOOK, "exec", session, ...connection, ...as, "--", ...command], {
    cwd: REPOSITORY,
    env: { ...process.env, NO_COLOR: "1", CI: "true" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      const lines = output.split("\n");
      if (lines.at(-1) === "") lines.pop();
      resolve({ actor, command, lines, exitCode: code ?? 1 });
    });
  });
}
