import { byteLength, type Patch } from "@daybook/core";
import { DaybookError, type JsonShape, LIMITS, type RawJson } from "@daybook/protocol";
import { CreateSession, ForkSession, PatchSession } from "@daybook/protocol/schemas";
import { Type } from "typebox";
import { bodyReader } from "./read-body.js";

/** Title and metadata, with room for a spelling in escapes. */
export const HEADER_BODY_BYTES_MAX = 512 * 1024;

const CODES = {
  code: "invalid_session",
  byMember: { metadata: "invalid_metadata", id: "invalid_session_id", at_seq: "invalid_cursor" },
} as const;
const CREATE_SHAPE: JsonShape = { members: { id: "value", title: "value", metadata: "raw" } };
const FORK_SHAPE: JsonShape = { members: { ...CREATE_SHAPE.members, at_seq: "value" } };
const PATCH_SHAPE: JsonShape = { members: { title: "value", metadata: "raw", expected_version: "value" } };

const readCreateBody = bodyReader(CreateSession, CREATE_SHAPE, CODES);
const readForkBody = bodyReader(ForkSession, FORK_SHAPE, CODES);
const readPatchBody = bodyReader(PatchSession, PATCH_SHAPE, CODES);

/** The body of a call that has nothing to say; what it says all the same must be an object. */
export const readNothing = bodyReader(Type.Object({}), { members: {} }, CODES);

/** What a new session is to be. */
export interface NewSession {
  readonly id: string | undefined;
  readonly title: string | null;
  readonly metadata: string;
}

export function readCreate(body: Buffer | undefined): NewSession {
  return newSession(readCreateBody(body));
}

export function readFork(body: Buffer | undefined): NewSession & { readonly atSeq: number | undefined } {
  const input = readForkBody(body);
  return { ...newSession(input), atSeq: input.at_seq };
}

function newSession({ id, title = null, metadata }: CreateSession): NewSession {
  return {
    id,
    title: checkedTitle(title),
    metadata: metadata === undefined ? "{}" : checkedMetadata(metadata),
  };
}

export function readPatch(body: Buffer | undefined): Patch {
  const { title, metadata, expected_version } = readPatchBody(body);
  const changes = metadata === undefined ? undefined : checkedMetadata(metadata);
  const nothing = changes === undefined || /^\{\s*\}$/.test(changes);
  if (title === undefined && nothing) {
    throw new DaybookError(
      "invalid_session",
      "Send a title, or metadata with at least one member, to change.",
    );
  }
  return {
    ...(title !== undefined && { title: checkedTitle(title) }),
    ...(changes !== undefined && { metadata: changes }),
    ...(expected_version !== undefined && { expectedVersion: expected_version }),
  };
}

export function checkedTitle(title: string | null): string | null {
  if (title !== null && byteLength(title) > LIMITS.titleBytesMax) {
    throw new DaybookError("invalid_session", `title is over ${LIMITS.titleBytesMax} bytes.`);
  }
  return title;
}

export function checkedMetadata(metadata: RawJson): string {
  if (byteLength(metadata.text) > LIMITS.metadataBytesMax) {
    throw new DaybookError("invalid_metadata", `metadata is over ${LIMITS.metadataBytesMax} bytes.`);
  }
  return metadata.text;
}
