import { expect, test } from "vitest";
import { Daybook } from "./daybook.js";

/** A client whose calls come to these answers, one after the other; "lost" are those without one. */
function client(...answers: ("lost" | { readonly status: number; readonly error?: string })[]) {
  const calls: string[] = [];
  const daybook = new Daybook({
    baseUrl: "http://d",
    fetch: (url, { method }) => {
      calls.push(`${method} ${new URL(url).pathname}`);
      const answer = answers.shift() ?? { status: 200 };
      if (answer === "lost") return Promise.reject(new TypeError("fetch failed"));
      const { status, error } = answer;
      const body = error === undefined ? { id: "s" } : { error, message: error };
      return Promise.resolve({
        status,
        headers: { get: () => null },
        text: () => Promise.resolve(JSON.stringify(body)),
      });
    },
    environment: {
      clock: {
        now: () => 0,
        after: (ms, run) => {
          if (ms < 20_000) queueMicrotask(run);
          return () => undefined;
        },
      },
    },
  });
  return { sessions: daybook.sessions, calls };
}

const gone = { status: 404, error: "session_not_found" };

test("a session that a first try deleted, unheard, is deleted", async () => {
  const { sessions, calls } = client("lost", gone);
  await sessions.delete("s");
  expect(calls).toEqual(["DELETE /v1/sessions/s", "DELETE /v1/sessions/s"]);
  await expect(client(gone).sessions.delete("s")).rejects.toMatchObject({ code: "session_not_found" });
});

test("a session without an id that a first try created, unheard, is found again", async () => {
  const { sessions, calls } = client("lost", { status: 409, error: "session_exists" });
  expect(await sessions.create({ title: "First" })).toEqual({ id: "s" });
  expect(calls[2]).toMatch(/^GET \/v1\/sessions\/ses_/);
});

test("a session with an id that is there may be what a first try created, and the error says so", async () => {
  const exists = { status: 409, error: "session_exists" };
  const made = client("lost", exists).sessions.create({ id: "s" });
  await expect(made).rejects.toMatchObject({ code: "session_exists", mayHaveHappened: true });
  const there = client(exists).sessions.create({ id: "s" });
  await expect(there).rejects.toMatchObject({ code: "session_exists", mayHaveHappened: false });
});

test("an update on a condition is not tried again after a try that may have happened", async () => {
  const { sessions, calls } = client("lost");
  await expect(sessions.update("s", { title: "x", expectedVersion: 1 })).rejects.toMatchObject({
    code: "network_error",
    mayHaveHappened: true,
  });
  expect(calls).toHaveLength(1);
});
