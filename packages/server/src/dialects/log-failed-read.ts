import type { DaybookError } from "@daybook/protocol";

/** A tail that ends because reading failed tells its reader a code; what it was stands in the log alone. */
export function logFailedRead(
  logger: { error(details: object, message: string): void },
  { cause }: DaybookError,
): void {
  if (cause !== undefined) logger.error({ err: cause }, "a tail could not be read on");
}
