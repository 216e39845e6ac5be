import { describe, expect, test } from "vitest";
import { batchBody, numbered, OutboxQueue, type OutgoingGroup } from "./outbox-queue.js";

const event = (text: string) => ({ type: "content", payload: { text } });
const shown = ({ key, producerId, producerSeq }: OutgoingGroup): string =>
  `${key}=${producerId}${producerSeq}`;
const keys = (groups: readonly OutgoingGroup[]): string => groups.map(({ key }) => key).join("");

function filled(count: number, limits = { eventsMax: 3, charactersMax: 10_000 }): OutboxQueue {
  const queue = new OutboxQueue("p", limits);
  for (let n = 0; n < count; n++) queue.add("abcdefgh"[n] ?? "", [event(String(n))]);
  return queue;
}

describe("an outbox's queue", () => {
  test("numbers what is added, across groups of several", () => {
    const queue = new OutboxQueue("p");
    queue.add("a", [event("1"), event("2")]);
    queue.add("b", [event("3")]);
    expect(queue.all.map(shown)).toEqual(["a=p1", "b=p3"]);
    expect(JSON.parse(batchBody(queue.batch()))).toEqual({
      events: [
        { ...event("1"), producer_id: "p", producer_seq: 1 },
        { ...event("2"), producer_id: "p", producer_seq: 2 },
        { ...event("3"), producer_id: "p", producer_seq: 3 },
      ],
    });
    expect(queue.eventsCount).toBe(3);
  });

  test("a batch is what fits, and stays what it was until it is acknowledged", () => {
    const queue = filled(5);
    expect(keys(queue.batch())).toBe("abc");
    queue.add("z", [event("z")]);
    expect(keys(queue.batch())).toBe("abc");
    queue.acknowledge();
    expect(keys(queue.batch())).toBe("dez");
  });

  test("a group that is over a limit goes alone; no group is parted", () => {
    const queue = new OutboxQueue("p", { eventsMax: 2, charactersMax: 200 });
    queue.add("a", [event("1"), event("2"), event("3")]);
    queue.add("b", [event("x".repeat(500))]);
    queue.add("c", [event("1")]);
    const batches: string[] = [];
    while (!queue.isEmpty) {
      batches.push(keys(queue.batch()));
      queue.acknowledge();
    }
    expect(batches).toEqual(["a", "b", "c"]);
  });

  test("a condition is on the whole of a request, so it goes alone", () => {
    const queue = filled(1);
    queue.add("b", [event("b")], 7);
    queue.add("c", [event("c")]);
    expect(keys(queue.batch())).toBe("a");
    queue.acknowledge();
    expect(JSON.parse(batchBody(queue.batch()))).toMatchObject({ expected_seq: 7, events: [event("b")] });
    queue.acknowledge();
    expect(keys(queue.batch())).toBe("c");
  });

  test("after a refusal groups go one by one, until one is taken", () => {
    const queue = filled(4);
    queue.batch();
    expect(queue.split()).toBe(true);
    expect(keys(queue.batch())).toBe("a");
    queue.acknowledge();
    expect(keys(queue.batch())).toBe("bcd");
    queue.split();
    queue.batch();
    expect(queue.split()).toBe(false);
  });

  test("what was seen elsewhere is taken out, also of the batch in flight", () => {
    const queue = filled(4);
    queue.batch();
    expect(queue.take("p", 2)?.key).toBe("b");
    expect(queue.take("p", 2)).toBeUndefined();
    expect(queue.take("other", 1)).toBeUndefined();
    expect(keys(queue.batch())).toBe("ac");
    expect([...queue.acknowledge()].map(({ key }) => key)).toEqual(["a", "c"]);
    expect(keys(queue.all)).toBe("d");
  });

  test("any event of a group stands for all of it", () => {
    const queue = new OutboxQueue("p");
    queue.add("a", [event("1"), event("2")]);
    expect(queue.take("p", 2)?.key).toBe("a");
  });

  test("numbers of what is given up go to what is behind it", () => {
    const queue = filled(3);
    expect(queue.drop().map(shown)).toEqual(["b=p1", "c=p2"]);
    expect(shown(queue.add("z", [event("z")]))).toBe("z=p3");
    expect(queue.all[0]?.text).toContain('"producer_seq":1');
  });

  test("if they may have been taken, all that is left goes on as another producer", () => {
    const queue = filled(3);
    expect(queue.drop("q").map(shown)).toEqual(["b=q1", "c=q2"]);
    expect(shown(queue.add("z", [event("z")]))).toBe("z=q3");
  });

  test("what others left behind keeps its numbers, and those of another producer are left alone", () => {
    const queue = filled(2);
    const left = numbered({ key: "x", producerId: "old", producerSeq: 8, events: [event("x")] });
    queue.adopt([left], "first");
    expect(queue.all.map(shown)).toEqual(["x=old8", "a=p1", "b=p2"]);
    queue.drop("new");
    expect(queue.all.map(shown)).toEqual(["a=p1", "b=p2"]);
    queue.adopt([left], "last");
    expect(keys(queue.all)).toBe("abx");
  });
});
