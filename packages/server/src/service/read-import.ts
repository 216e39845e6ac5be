import { type ImportedEvent, type ImportedHeader, readStateChange, type SessionHeader } from "@daybook/core";
import { DaybookError, type ErrorCode, type JsonShape, LIMITS, whyNotAName } from "@daybook/protocol";
import { Event, SessionRecord } from "@daybook/protocol/schemas";
import { Type } from "typebox";
import { ownName } from "./own-name.js";
import { atIndex, checkMembers } from "./read-append.js";
import { checkedMetadata, checkedTitle } from "./read-session.js";
import { bodyReader } from "./read-body.js";

const EVENT: JsonShape = {
  members: {
    ...Object.fromEntries(Object.keys(Event.properties).map((name) => [name, "value" as const])),
    metadata: "raw",
    refs: "raw",
    payload: "raw",
    state: "raw",
  },
};
const RECORD: JsonShape = {
  members: {
    ...Object.fromEntries(Object.keys(SessionRecord.properties).map((name) => [name, "value" as const])),
    metadata: "raw",
  },
};
const SHAPE: JsonShape = { members: { session: RECORD, events: { items: EVENT } } };

/** One step of an import: the session's record to begin with, or a list of its events. */
export const ImportBody = Type.Object({
  session: Type.Optional(SessionRecord),
  events: Type.Optional(Type.Array(Event, { maxItems: LIMITS.batchEventsMax })),
});

const readBody = bodyReader(ImportBody, SHAPE, {
  code: "invalid_event",
  byMember: { session: "invalid_session" },
});

export interface ImportStep {
  readonly session?: { readonly header: SessionHeader; readonly imported: ImportedHeader };
  readonly events: readonly ImportedEvent[];
}

/** A record's `forked_from` is not taken over: an export of a fork has all its events, and its parent may not be here. */
export function readImport(body: Buffer | undefined): ImportStep {
  const { session, events = [] } = readBody(body);
  const step = {
    events: events.map((event, index) => {
      try {
        return importedEvent(event);
      } catch (error) {
        throw atIndex(error, index);
      }
    }),
  };
  if (session === undefined) return step;
  return {
    ...step,
    session: {
      header: {
        creator: creatorOf(session.creator_principal),
        title: checkedTitle(session.title),
        metadata: checkedMetadata(session.metadata),
      },
      imported: {
        createdAtMs: timeOf(session.created_at, "session.created_at", "invalid_session"),
        updatedAtMs: timeOf(session.updated_at, "session.updated_at", "invalid_session"),
        version: session.version,
        archived: session.archived,
      },
    },
  };
}

function creatorOf({ type, id }: { readonly type: string; readonly id: string }): SessionHeader["creator"] {
  const why = whyNotAName(id) ?? whyNotAName(type);
  if (why !== undefined) throw new DaybookError("invalid_session", `session.creator_principal ${why}.`);
  return { type, id };
}

function importedEvent(input: Event): ImportedEvent {
  checkMembers(input);
  timeOf(input.inserted_at, "inserted_at");
  return {
    seq: input.seq,
    insertedAt: input.inserted_at,
    event: {
      type: input.type,
      payload: input.payload.text,
      actor: input.actor,
      producer: { id: ownName(input.producer_id), seq: input.producer_seq },
      metadata: input.metadata.text,
      refs: input.refs.text,
      ...(input.source !== undefined && { source: input.source }),
      ...(input.idempotency_key !== null && { idempotencyKey: input.idempotency_key }),
      ...(input.state !== undefined && { state: readStateChange(input.state) }),
    },
  };
}

function timeOf(text: string, place: string, code: ErrorCode = "invalid_event"): number {
  const ms = Date.parse(text);
  // The very text we write: anything else would not come out again as it went in.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== text) {
    throw new DaybookError(code, `${place} must be a time like 2030-01-31T12:00:00.000Z.`);
  }
  return ms;
}
