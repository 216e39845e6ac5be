import { DaybookError } from "@daybook/protocol";

/** Why a data folder is not opened, or an open store stops. Each is for a person to act on. */
export type RefusalCode =
  "damaged" | "lost_tail" | "unknown_format" | "unreadable" | "locked" | "sync_failed" | "not_a_store";

export class StoreRefused extends Error {
  override readonly name = "StoreRefused";

  constructor(
    readonly code: RefusalCode,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }
}

export function unreadable(file: string, cause: unknown): StoreRefused {
  return new StoreRefused("unreadable", `${file} cannot be read. Nothing was changed.`, { cause });
}

export function damaged(file: string, offset: number, why: string): StoreRefused {
  return new StoreRefused(
    "damaged",
    `The log is damaged: ${file} at byte ${offset}: ${why}. Nothing was changed. ` +
      "`daybook check` shows the extent; restore a backup, or see `daybook repair --help`.",
  );
}

export function notFound(): DaybookError {
  return new DaybookError(
    "session_not_found",
    "There is no session with this id. Create it with POST /v1/sessions.",
  );
}
