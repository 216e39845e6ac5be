import { byteLength, type Patch } from "@daybook/core";
import {
  CreateSession,
  DaybookError,
  type JsonShape,
  LIMITS,
  PatchSession,
  type RawJson,
} from "@daybook/protocol";
import { Type } from "typebox";
import { bodyReader } from "./read-body.js";

/** Title and metadata, with room for a spelling in escapes. */
export const HEADER_BODY_BYTES_MAX = 512 * 1024;

const CODES = {
  code: "invalid_session",
  byMember: { metadata: "invalid_metadata", id: "invalid_session_id" },
} as const;
const CREATE_SHAPE: JsonShape = { members: { id: "value", title: "value", metadata: "raw" } };
const PATCH_SHAPE: JsonShape = { members: { title: "value", metadata: "raw", expected_version: "value" } };

const readCreateBody = bodyReader(CreateSession, CREATE_SHAPE, CODES);
const readPatchBody = bodyReader(PatchSession, PATCH_SHAPE, CODES);

/** The body of a call that has nothing to say; what it says all the same must be an object. */
export const readNothing = bodyReader(Type.Object({}), { members: {} }, CODES);

export function readCreate(body: Buffer | undefined): {
  id: string | undefined;
  title: string | null;
  metadata: string;
} {
  const { id, title = null, metadata } = readCreateBody(body);
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
