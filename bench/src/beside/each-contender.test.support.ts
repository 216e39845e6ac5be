import { describe } from "vitest";
import { CONTENDERS } from "./beside.js";
import type { ContenderKind } from "./contender.js";
import { daybook } from "./daybook-contender.js";

const KINDS = await Promise.all(
  [daybook, ...CONTENDERS].map(async (kind) => ({ kind, missing: await kind.missing() })),
);

/**
 * A suite for each contender. What npm installs is always there: Daybook and the Durable Streams server. The databases come from
 * Debian by bench/setup, as the bench measures them: npm has no Redis and no NATS, and of PostgreSQL only betas.
 */
export function describeEach(
  titleOf: (kind: ContenderKind) => string,
  suite: (kind: ContenderKind) => void,
  kinds: (kind: ContenderKind) => boolean = () => true,
): void {
  for (const { kind, missing } of KINDS.filter((one) => kinds(one.kind))) {
    const reason = missing === undefined ? "" : ` (skipped: it needs ${missing})`;
    describe.skipIf(missing !== undefined)(titleOf(kind) + reason, () => suite(kind)); // It needs a server that npm does not have.
  }
}
