import type { HeaderEntry } from "@daybook/core";
import type { FramePosition } from "./frame-position.js";

/** What can happen to a session as a whole. The order is how they are stored: only ever add at the end. */
export const LIFECYCLE_KINDS = [
  "created",
  "updated",
  "archived",
  "unarchived",
  "closed",
  "deleted",
  "reopened",
  "forked",
] as const;
export type LifecycleKind = (typeof LIFECYCLE_KINDS)[number];

/** One such change, and where its frame stands: that is also its place in the feed of its tenant. */
export interface LifecycleNote {
  readonly kind: LifecycleKind;
  readonly position: FramePosition;
  readonly atMs: number;
  /** The record's version after it. */
  readonly version: number;
}

/** Undefined for what is no news: that a fork is gone says the fork's own deletion. */
export function lifecycleKindOf(entry: HeaderEntry): LifecycleKind | undefined {
  switch (entry.kind) {
    case "create":
      return "created";
    case "patch":
      return "updated";
    case "archive":
      return entry.archived ? "archived" : "unarchived";
    case "close":
      return "closed";
    case "reopen":
      return "reopened";
    case "erase":
      return "deleted";
    case "fork":
      return "forked";
    case "unfork":
      return undefined;
  }
}
