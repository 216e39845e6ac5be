import { parseJson, type RawJson } from "@daybook/protocol";
import type { HeaderEntry } from "./entry.js";
import { type ForkedFrom, LogId, type SessionHeader } from "./head.js";

/**
 * A header entry's text in the log. A create and a patch hold the whole header, so that the newest of them alone says
 * what a session is; titles and metadata are in no other file.
 */
export function encodeHeaderEntry(entry: HeaderEntry): string {
  switch (entry.kind) {
    case "create":
      return (
        `{"tenant":${JSON.stringify(entry.session.tenant)},"session":${JSON.stringify(entry.session.id)}` +
        (entry.imported === undefined ? "" : `,"imported":${JSON.stringify(entry.imported)}`) +
        (entry.forkedFrom === undefined ? "" : `,"forked_from":${JSON.stringify(entry.forkedFrom)}`) +
        `,"header":${encodeHeader(entry.header)}}`
      );
    case "patch":
      return `{"header":${encodeHeader(entry.header)}}`;
    case "archive":
      return `{"archived":${String(entry.archived)}}`;
    case "close":
    case "reopen":
      return "{}";
    case "fork":
      return `{"fork":${JSON.stringify(entry.fork)},"seq":${entry.seq}}`;
    case "unfork":
      return `{"fork":${JSON.stringify(entry.fork)}}`;
    case "erase":
      return `{"tenant":${JSON.stringify(entry.session.tenant)},"session":${JSON.stringify(entry.session.id)}}`;
  }
}

const SHAPE = {
  members: {
    tenant: "value",
    session: "value",
    archived: "value",
    imported: "value",
    forked_from: "value",
    fork: "value",
    seq: "value",
    header: { members: { creator: "value", title: "value", metadata: "raw" } },
  },
} as const;

interface Decoded {
  readonly tenant: string;
  readonly session: string;
  readonly archived: boolean;
  readonly imported?: Extract<HeaderEntry, { kind: "create" }>["imported"];
  readonly forked_from?: ForkedFrom;
  readonly fork: string;
  readonly seq: number;
  readonly header: { creator: SessionHeader["creator"]; title: string | null; metadata: RawJson };
}

/** The entry again. The text was written by `encodeHeaderEntry` and its checksum was verified: it is trusted. */
export function decodeHeaderEntry(kind: HeaderEntry["kind"], text: string): HeaderEntry {
  const decoded = parseJson(text, SHAPE, { depthMax: 1000 }) as Decoded;
  switch (kind) {
    case "create": {
      const session = new LogId(decoded.tenant, decoded.session);
      const { imported, forked_from: forkedFrom } = decoded;
      return {
        kind,
        session,
        header: decodeHeader(decoded),
        ...(imported !== undefined && { imported }),
        ...(forkedFrom !== undefined && { forkedFrom }),
      };
    }
    case "patch":
      return { kind, header: decodeHeader(decoded) };
    case "archive":
      return { kind, archived: decoded.archived };
    case "close":
    case "reopen":
      return { kind };
    case "fork":
      return { kind, fork: decoded.fork, seq: decoded.seq };
    case "unfork":
      return { kind, fork: decoded.fork };
    case "erase":
      return { kind, session: new LogId(decoded.tenant, decoded.session) };
  }
}

function encodeHeader(header: SessionHeader): string {
  return `{"creator":${JSON.stringify(header.creator)},"title":${JSON.stringify(header.title)},"metadata":${header.metadata}}`;
}

function decodeHeader({ header }: Decoded): SessionHeader {
  return { creator: header.creator, title: header.title, metadata: header.metadata.text };
}
