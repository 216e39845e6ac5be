import { LogId, type ProducerWindow, seqOfPair } from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import { type LogRecords, OpenLog, type ParentLogs } from "./open-log.js";

/** Views in a plain map. */
class PlainRecords implements LogRecords {
  readonly stored = new Map<string, ProducerWindow>();

  window = (_log: number, producerId: string): ProducerWindow | undefined => this.stored.get(producerId);
  windows = (): Iterable<readonly [string, ProducerWindow]> => this.stored;
  key = (): undefined => undefined;
  versionAt = (): undefined => undefined;
  versionsFrom = (): [] => [];
  messageChunk = (): undefined => undefined;
  rememberedKey = (): undefined => undefined;
}

const NO_PARENTS: ParentLogs = { parentOf: () => undefined };
const POSITION = { segment: 1, offset: 64, bytes: 100, count: 1 };
const HEADER = { creator: { type: "user", id: "ann" }, title: null, metadata: "{}" };

class Session {
  readonly records = new PlainRecords();
  log = new OpenLog(1, new LogId("acme", "s"), this.records, NO_PARENTS);
  private lastSeq = 0;

  constructor() {
    const entry = { kind: "create", session: new LogId("acme", "s"), header: HEADER } as const;
    this.log.foldHeader(entry, 1, { ...POSITION, count: 0 });
  }

  /** One frame of events: a producer and its next numbers. */
  append(id: string, from: number, count: number): void {
    const events = Array.from({ length: count }, (_, index) => ({
      producer: { id, seq: from + index },
      state: [],
      isMessage: false,
      idempotencyKey: undefined,
    }));
    this.log.foldEvents(events, this.lastSeq + 1, 1, { ...POSITION, count });
    this.lastSeq += count;
  }

  /** The views are written, memory is let go, and the log is taken up again from the views. */
  restart(): void {
    for (const [id, window] of this.log.takeNewWindows()) this.records.stored.set(id, window);
    const { id, head, pairs, openRun, lastEventMs, headerAt } = this.log;
    const [messages, idempotencyKeys] = [undefined, 0];
    if (id === undefined || head === undefined) throw new Error("an empty log");
    this.log = new OpenLog(1, id, this.records, NO_PARENTS);
    this.log.restore({ id, head, pairs, openRun, lastEventMs, headerAt, messages, idempotencyKeys });
  }

  remembers(id: string, producerSeq: number): boolean {
    const window = this.log.window(id);
    return window !== undefined && seqOfPair(window, producerSeq) !== undefined;
  }
}

/** As many producers with full windows as a session remembers. */
const FULL = LIMITS.sessionPairsMax / LIMITS.producerPairsMax;

function fullSession(): Session {
  const session = new Session();
  for (let producer = 0; producer < FULL; producer++) {
    for (let from = 1; from <= LIMITS.producerPairsMax; from += 256)
      session.append(`p${producer}`, from, 256);
  }
  return session;
}

describe("a session's memory of producers", () => {
  it("holds 65,536 pairs exactly, and forgets the least recently used producer with the next one", () => {
    const session = fullSession();
    expect(session.log.pairs).toBe(LIMITS.sessionPairsMax);
    expect(session.remembers("p0", 1)).toBe(true);
    session.append("new", 1, 1);
    expect(session.log.pairs).toBe(LIMITS.sessionPairsMax - LIMITS.producerPairsMax + 1);
    expect(session.remembers("p0", LIMITS.producerPairsMax)).toBe(false);
    expect(session.remembers("p1", 1)).toBe(true);
    expect(session.remembers("new", 1)).toBe(true);
  });

  it("knows for ever how far a forgotten producer had come", () => {
    const session = fullSession();
    session.append("new", 1, 1);
    expect(session.log.window("p0")).toMatchObject({ last: LIMITS.producerPairsMax, count: 0 });
    session.restart();
    expect(session.log.window("p0")).toMatchObject({ last: LIMITS.producerPairsMax, count: 0 });
  });

  it("counts use, not age: who wrote again is forgotten later", () => {
    const session = fullSession();
    session.append("p0", LIMITS.producerPairsMax + 1, 1);
    session.append("new", 1, 1);
    expect(session.remembers("p0", LIMITS.producerPairsMax + 1)).toBe(true);
    expect(session.remembers("p1", LIMITS.producerPairsMax)).toBe(false);
  });

  it("is the same whenever the log was taken up again from the views in between", () => {
    const sessions = [0, 1, 2].map(() => fullSession());
    for (let round = 0; round < 12; round++) {
      for (const [index, session] of sessions.entries()) {
        session.append(`p${(round * 7) % 20}`, LIMITS.producerPairsMax + 1 + round, 1);
        session.append(`late${round}`, 1, 256);
        if (index === 1 || (index === 2 && round % 5 === 0)) session.restart();
      }
    }
    const [plain, ...restarted] = sessions;
    const ids = [
      ...Array.from({ length: FULL }, (_, n) => `p${n}`),
      ...Array.from({ length: 12 }, (_, n) => `late${n}`),
    ];
    for (const session of restarted) {
      expect(session.log.pairs).toBe(plain?.log.pairs);
      expect(ids.map((id) => session.log.window(id))).toEqual(ids.map((id) => plain?.log.window(id)));
    }
    expect(ids.some((id) => plain?.log.window(id)?.count === 0)).toBe(true);
  });

  it("lets go of windows that the views have, and finds them there", () => {
    const session = new Session();
    for (let producer = 0; producer < 40; producer++) session.append(`p${producer}`, 1, 1);
    for (const [id, window] of session.log.takeNewWindows()) session.records.stored.set(id, window);
    session.log.release({
      finishedRuns: [],
      keyVersions: [],
      finishedChunks: [],
      rememberedKeys: [],
      header: undefined,
    });
    expect(session.log.windows.size).toBe(0);
    expect(session.remembers("p3", 1)).toBe(true);
  });
});
