import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { type EndSignal, type Io, exitCodeOfSignal, type Output } from "./io.js";
import { LineSplitter } from "./split-lines.js";
import { isOpen, writeOutput } from "./write-output.js";

/** Who hears what a command does. `room` is awaited after each chunk: that is how a full queue slows the command. */
export interface Recorder {
  started(details: { command: string; args: readonly string[]; cwd: string; pid: number }): void;
  output(details: { stream: "stdout" | "stderr"; line: string; continued?: true }): void;
  exited(details: { code: number | null; signal: string | null; duration_ms: number; error?: string }): void;
  room(): Promise<void>;
  /** A signal came when there was no command left to take it, only its output to be recorded. */
  interrupted(signal: EndSignal): void;
}

/** A longer line is recorded in pieces. Even with every byte escaped in JSON, a piece is far below an event's limit. */
export const LINE_BYTES_MAX = 64 * 1024;

/**
 * Runs a command, shows its output as it comes and tells `recorder` about it line by line.
 * @returns the exit code a shell would show: the command's own, 128 + the signal's number, 127 not found, 126 not
 *   executable.
 */
export async function runRecorded(
  command: string,
  args: readonly string[],
  recorder: Recorder,
  io: Io,
): Promise<number> {
  const startedMs = io.clock.now();
  const stdin = io.stdin === process.stdin ? "inherit" : "pipe";
  const child = spawn(command, args, { stdio: [stdin, "pipe", "pipe"] });
  if (child.pid !== undefined) recorder.started({ command, args, cwd: process.cwd(), pid: child.pid });
  if (child.stdin !== null) feed(io, child.stdin);
  const stopForwarding = forwardSignals(io, child, recorder);
  const ended = endOf(child);
  await Promise.all([
    pump(child.stdout, "stdout", io.stdout, recorder),
    pump(child.stderr, "stderr", io.stderr, recorder),
  ]);
  const { code, signal, error } = await ended;
  stopForwarding();
  const durationMs = io.clock.now() - startedMs;
  if (error !== undefined) {
    const { exitCode, message } = whyNotStarted(command, error);
    if (isOpen(io.stderr)) io.stderr.write(`daybook: ${message}\n`);
    recorder.exited({ code: exitCode, signal: null, duration_ms: durationMs, error: message });
    return exitCode;
  }
  recorder.exited({ code, signal, duration_ms: durationMs });
  return signal === null ? (code ?? 1) : exitCodeOfSignal(signal);
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It never started. */
  readonly error?: Error;
}

/** After `close`, not `exit`: what the command left running may still write to its output. */
async function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.on("error", (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
}

async function pump(
  source: Readable | null,
  stream: "stdout" | "stderr",
  echo: Output,
  recorder: Recorder,
): Promise<void> {
  if (source === null) return;
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  const record = (bytes: Buffer, continued: boolean): void => {
    const line = bytes.toString("utf8");
    recorder.output(continued ? { stream, line, continued: true } : { stream, line });
  };
  for await (const chunk of source) {
    const bytes = chunk as Buffer;
    for (const line of splitter.push(bytes)) record(line.bytes, line.continued);
    // Whoever read our output may go (`| head`): the command is still recorded to its end.
    if (isOpen(echo)) await writeOutput(echo, bytes);
    await recorder.room();
  }
  for (const line of splitter.end()) record(line.bytes, line.continued);
}

function feed(io: Io, target: NonNullable<ChildProcess["stdin"]>): void {
  // A command may end, or close its input, without having read it all.
  target.on("error", () => io.stdin.unpipe(target));
  io.stdin.pipe(target);
}

/**
 * A terminal sends Ctrl-C to every process in the foreground, the command too: passed on, it would get it twice, and
 * many programs take the second one as "now, without cleaning up".
 */
function forwardSignals(io: Io, child: ChildProcess, recorder: Recorder): () => void {
  return io.onEndSignal((signal) => {
    const isOver = child.exitCode !== null || child.signalCode !== null;
    const hasItAlready = signal === "SIGINT" && io.stdin.isTTY === true;
    if (isOver) recorder.interrupted(signal);
    else if (!hasItAlready) child.kill(signal);
  });
}

function whyNotStarted(command: string, error: Error): { exitCode: number; message: string } {
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOENT") return { exitCode: 127, message: `${command}: command not found` };
  if (code === "EACCES") return { exitCode: 126, message: `${command}: permission denied` };
  return { exitCode: 126, message: `${command}: ${error.message}` };
}
