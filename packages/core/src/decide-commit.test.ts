import { describe, expect, it } from "vitest";
import { agentStateLog } from "./agent-key.js";
import { type Commit, decideCommit, needsOfCommit } from "./decide-commit.js";
import type { Facts } from "./decision.js";
import type { EventEntry } from "./entry.js";
import { applyEntry } from "./entry.js";
import { decodeEvent } from "./event-json.js";
import type { Head } from "./head.js";
import type { ProducerWindow } from "./producer-window.js";
import { addPair, ownWindow } from "./producer-window.js";
import { type KeyVersion, nextVersion } from "./state.js";
import { type StoredOperation, storedOperations } from "./stored-state.js";

const log = agentStateLog("acme");
const now = { ms: 1_700_000_000_000, iso: "2023-11-14T22:13:20.000Z" };

/** A log folded by hand: what an engine would know of it. */
class Folded implements Facts {
  head: Head | undefined;
  private readonly keys = new Map<string, KeyVersion>();
  private readonly windows = new Map<string, ProducerWindow>();
  private readonly events = new Map<number, string>();

  producer(id: string): ProducerWindow | undefined {
    return this.windows.get(id);
  }
  seqOfKey(): undefined {
    return undefined;
  }
  key(key: string): KeyVersion | undefined {
    return this.keys.get(key);
  }
  eventJson(seq: number): string {
    return this.events.get(seq) ?? "";
  }
  header(): never {
    throw new Error("not asked for");
  }
  headOf(): never {
    throw new Error("not asked for");
  }

  /** Decides, folds what is committed; answers the seq or the code of the refusal, and the operations as stored. */
  commit(command: Partial<Commit>): {
    seq?: number;
    deduped?: boolean;
    code?: string;
    stored?: StoredOperation[];
  } {
    const whole: Commit = {
      log,
      id: "t",
      actor: "agent:a",
      operations: [],
      conditions: new Map(),
      producer: null,
      ...command,
    };
    const decision = decideCommit(this.head, this, whole, now);
    if (decision.kind === "reject") return { code: decision.error.code };
    const [result] = decision.answer.results;
    if (decision.kind === "answer") return { ...result };
    for (const entry of decision.entries) {
      this.head = applyEntry(this.head, entry, now.ms);
      if (entry.kind === "event") this.fold(entry);
    }
    const { state } = decodeEvent(this.eventJson(result?.seq ?? 0));
    return { ...result, stored: state === undefined ? [] : storedOperations(state) };
  }

  private fold({ seq, json, state, producer }: EventEntry): void {
    this.events.set(seq, json);
    for (const operation of state) {
      this.keys.set(operation.key, nextVersion(this.keys.get(operation.key), operation, seq));
    }
    if (producer === null) return;
    const window = ownWindow(this.windows.get(producer.id));
    addPair(window, producer.seq, seq);
    this.windows.set(producer.id, window);
  }
}

describe("a commit", () => {
  it("makes the log if it is the first, and takes the next seq, also without operations", () => {
    const folded = new Folded();
    expect(folded.commit({}).seq).toBe(1);
    expect(folded.head).toMatchObject({ lastSeq: 1, status: "open" });
    expect(folded.commit({}).seq).toBe(2);
  });

  it("gives every operation its version, in order, several of one key too", () => {
    const folded = new Folded();
    folded.commit({ operations: [{ key: "k", value: "0" }] });
    const { stored } = folded.commit({
      operations: [
        { key: "k", value: "1" },
        { key: "l", value: "2" },
        { key: "k" },
        { key: "k", value: "1.0" },
      ],
    });
    expect(stored).toEqual([
      { kind: "set", key: "k", version: 2, value: "1" },
      { kind: "set", key: "l", version: 1, value: "2" },
      { kind: "delete", key: "k", version: 3 },
      { kind: "set", key: "k", version: 4, value: "1.0" },
    ]);
    expect(folded.key("k")).toEqual({ version: 4, seq: 2, deleted: false });
  });

  it("holds its conditions against the versions before it", () => {
    const folded = new Folded();
    const set = (version: number, value = "1"): Partial<Commit> => ({
      operations: [
        { key: "k", value },
        { key: "k", value },
      ],
      conditions: new Map([["k", version]]),
    });
    expect(folded.commit(set(0)).seq).toBe(1);
    expect(folded.commit(set(0)).code).toBe("state_conflict");
    expect(folded.commit(set(1)).code).toBe("state_conflict");
    expect(folded.commit(set(2)).seq).toBe(2);
    folded.commit({ operations: [{ key: "k" }] });
    expect(folded.commit(set(0)).seq).toBe(4);
  });

  it("answers the first seq when it is sent again, and refuses other content under the same pair", () => {
    const folded = new Folded();
    const producer = { id: "p", seq: 1 };
    const operations = [{ key: "k", value: '{"a":1}' }, { key: "k" }];
    expect(folded.commit({ operations, producer })).toMatchObject({ seq: 1, deduped: false });
    folded.commit({ operations: [{ key: "k", value: "2" }] });
    expect(folded.commit({ operations, producer })).toEqual({ seq: 1, deduped: true });
    for (const other of [
      [],
      operations.slice(1),
      operations.toReversed(),
      [{ key: "k", value: "{}" }, { key: "k" }],
    ]) {
      expect(folded.commit({ operations: other, producer }).code).toBe("producer_replay_conflict");
    }
    expect(folded.commit({ operations, producer: { id: "p", seq: 3 } }).code).toBe("producer_seq_conflict");
  });

  it("names the facts it will ask for", () => {
    const needs = needsOfCommit({
      log,
      id: "t",
      actor: "agent:a",
      operations: [{ key: "k" }],
      conditions: new Map([["l", 1]]),
      producer: { id: "p", seq: 2 },
    });
    expect(needs).toEqual({ keys: ["k", "l"], pairs: [{ producerId: "p", producerSeq: 2 }] });
  });
});
