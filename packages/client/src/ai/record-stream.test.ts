import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Session } from "../session.js";
import { recordStream } from "./index.js";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A session as far as it is written to: the commits, each with the types of its chunks and what their deltas say. */
function writing() {
  const commits: string[][] = [];
  const appendAll: Session["appendAll"] = (inputs) => {
    const chunks = inputs.map(({ payload }) => payload?.["chunk"] as { type: string; delta?: string });
    commits.push(chunks.map(({ type, delta }) => (delta === undefined ? type : `${type} ${delta}`)));
    return Promise.resolve(inputs.map(() => ({ seq: commits.length, deduped: false })));
  };
  async function* events(): AsyncGenerator<never> {
    // Nobody stops it.
  }
  const session = {
    status: "live",
    cursor: 0,
    actor: "agent:a",
    events,
    appendAll,
    discard: () => undefined,
  };
  return { session: session as unknown as Session, commits };
}

const delta = (text: string) => ({ type: "text-delta", id: "t", delta: text });

test("chunks that come within 40 ms are one commit, deltas of one part one event; the end goes with the rest", async () => {
  const { session, commits } = writing();
  let controller!: ReadableStreamDefaultController<{ type: string }>;
  const stream = new ReadableStream<{ type: string }>({ start: (given) => void (controller = given) });
  const recording = recordStream(session, stream);
  for (const chunk of [{ type: "start" }, { type: "text-start" }, delta("Hel"), delta("lo")])
    controller.enqueue(chunk);
  await vi.advanceTimersByTimeAsync(39);
  expect(commits).toEqual([]);
  controller.enqueue(delta(", "));
  await vi.advanceTimersByTimeAsync(1);
  expect(commits).toEqual([["start", "text-start", "text-delta Hello, "]]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(commits, "no time passes for nothing").toHaveLength(1);
  controller.enqueue(delta("you"));
  await vi.advanceTimersByTimeAsync(39);
  expect(commits).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(commits[1]).toEqual(["text-delta you"]);
  controller.enqueue(delta("!"));
  controller.enqueue({ type: "finish" });
  await vi.advanceTimersByTimeAsync(0);
  expect(await recording).toMatchObject({ end: "finish" });
  expect(commits.slice(2)).toEqual([["text-delta !", "finish"]]);
});
