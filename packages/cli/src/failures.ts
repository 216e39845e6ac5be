import type { ErrorDetails } from "@daybook/protocol/errors";
import { EXIT } from "./exit-codes.js";

/** An expected end of a command: a message for the terminal and the exit code that goes with it. */
export class CommandFailure extends Error {
  override readonly name: string = "CommandFailure";

  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
  ) {
    super(message);
  }
}

/** What was asked makes no sense; nothing was tried. */
export class UsageFailure extends CommandFailure {
  override readonly name = "UsageFailure";

  constructor(message: string) {
    super(message, EXIT.usage);
  }
}

/** The server's own words. `status` is the HTTP status, or the close code of a WebSocket. */
export class ServerRefusal extends CommandFailure {
  override readonly name = "ServerRefusal";

  constructor(
    readonly code: string,
    readonly status: number,
    readonly said: string,
    readonly details: ErrorDetails = {},
  ) {
    super(`${code} (${status}): ${said}`, isOverload(status) ? EXIT.unreachable : EXIT.refused);
  }
}

/** Not about what was asked: the same may work later. */
function isOverload(status: number): boolean {
  return status === 429 || (status >= 500 && status < 600);
}

/** Nobody answered. */
export class ServerUnreachable extends CommandFailure {
  override readonly name = "ServerUnreachable";

  constructor(message: string) {
    super(message, EXIT.unreachable);
  }
}

/** A signal ended the command. */
export class Interrupted extends CommandFailure {
  override readonly name = "Interrupted";

  constructor(message = "", exitCode: number = EXIT.interrupted) {
    super(message, exitCode);
  }
}

/** Whoever read our output has gone (`daybook tail … | head`): an end like any other, without a word. */
export class OutputClosed extends CommandFailure {
  override readonly name = "OutputClosed";

  constructor() {
    super("", EXIT.ok);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A mistake in here, whose stack is worth more than its message; anything else is about files, ports and the like. */
export function isDefect(error: Error): boolean {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}
