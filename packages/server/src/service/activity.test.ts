import { LogId } from "@daybook/core";
import { beforeEach, describe, expect, it } from "vitest";
import { IDLE_TICKS, SessionActivity } from "./activity.js";

const id = (name: string, tenant = "acme"): LogId => new LogId(tenant, name);

let there: Set<string>;
let told: string[];
beforeEach(() => {
  there = new Set();
  told = [];
});

/** What the followers of a tenant are told, as `a hydrating`; sessions a to f are there. */
function following(sessionsMax = 100, tenant = "acme"): SessionActivity {
  for (const name of "abcdef") there.add(id(name).key).add(id(name, "other").key);
  const activity = new SessionActivity(({ key }) => there.has(key), sessionsMax);
  activity.watch(tenant, (session, kinds) => told.push(...kinds.map((kind) => `${session.id} ${kind}`)));
  return activity;
}

const ticks = (activity: SessionActivity, count: number): void => {
  for (let n = 0; n < count; n++) activity.tick();
};

describe("which sessions are in use", () => {
  it("a session is activated by its first use, and frozen once it was idle", () => {
    const activity = following();
    activity.used(id("a"));
    activity.used(id("a"));
    expect(told).toEqual(["a hydrating", "a activated"]);
    ticks(activity, IDLE_TICKS);
    expect(told).toHaveLength(2);
    activity.tick();
    expect(told.slice(2)).toEqual(["a freezing", "a frozen"]);
    ticks(activity, IDLE_TICKS * 2);
    activity.used(id("a"));
    expect(told.slice(4)).toEqual(["a hydrating", "a activated"]);
  });

  it("use keeps it active, whatever else is put away", () => {
    const activity = following();
    activity.used(id("a"));
    activity.used(id("b"));
    for (let n = 0; n < IDLE_TICKS * 3; n++) {
      activity.tick();
      activity.used(id("a"));
    }
    expect(told.slice(4)).toEqual(["b freezing", "b frozen"]);
  });

  it("a new session is in use without a word; a missing one never is", () => {
    const activity = following();
    activity.began(id("a"));
    activity.used(id("a"));
    activity.used(id("missing"));
    expect(told).toEqual([]);
    ticks(activity, IDLE_TICKS + 1);
    expect(told).toEqual(["a freezing", "a frozen"]);
  });

  it("a deleted session leaves without a word", () => {
    const activity = following(1);
    activity.used(id("a"));
    there.delete(id("a").key);
    activity.used(id("a"));
    ticks(activity, IDLE_TICKS + 1);
    activity.used(id("b"));
    there.delete(id("b").key);
    activity.used(id("c"));
    expect(told).toEqual([
      "a hydrating",
      "a activated",
      "b hydrating",
      "b activated",
      "c hydrating",
      "c activated",
    ]);
  });

  it("when there are too many, the least recently used is put away", () => {
    const activity = following(2);
    activity.used(id("a"));
    activity.used(id("b"));
    activity.tick();
    activity.used(id("a"));
    told.length = 0;
    activity.used(id("c"));
    expect(told).toEqual(["b freezing", "b frozen", "c hydrating", "c activated"]);
  });

  it("no tenant hears of another's sessions, or has one pushed out by them", () => {
    const activity = following(4);
    for (const name of "ab") activity.used(id(name));
    told.length = 0;
    for (const name of "abcdef") activity.used(id(name, "other"));
    expect(told).toEqual([]);
    // Half of the room each.
    for (const name of "cd") activity.used(id(name));
    expect(told.filter((text) => text.endsWith("frozen"))).toEqual(["a frozen", "b frozen"]);
  });

  it("a share that became smaller is reached step by step, and grows again when the others are idle", () => {
    const activity = following(4);
    for (const name of "abcd") activity.used(id(name));
    activity.used(id("a", "other"));
    told.length = 0;
    activity.used(id("e"));
    activity.used(id("f"));
    expect(told.filter((text) => text.endsWith("frozen"))).toEqual([
      ...["a frozen", "b frozen"],
      ...["c frozen", "d frozen"],
    ]);
    for (let n = 0; n <= IDLE_TICKS; n++) {
      activity.used(id("e"));
      activity.tick();
    }
    told.length = 0;
    for (const name of "abc") activity.used(id(name));
    expect(told.filter((text) => text.endsWith("frozen"))).toEqual([]);
  });

  it("tells nothing to one who no longer follows", () => {
    const activity = following();
    const heard: string[] = [];
    const stop = activity.watch("acme", (session) => heard.push(session.id));
    activity.used(id("a"));
    stop();
    activity.used(id("b"));
    expect(heard).toEqual(["a"]);
    expect(told).toHaveLength(4);
  });
});
