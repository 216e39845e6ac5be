import { describe, expect, it } from "vitest";
import { defaultEnvironment, type FetchLike } from "./environment.js";
import { Http } from "./http.js";
import { settled, SimClock } from "./sim-clock.test.support.js";

const encoder = new TextEncoder();

/** Streams that a test feeds by hand, on a clock of its own. */
function streamed(): { http: Http; clock: SimClock; feed: ReadableStreamDefaultController<Uint8Array> } {
  const clock = new SimClock();
  let feed!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (controller) => void (feed = controller) });
  const fetch: FetchLike = (_url, { signal }) => {
    signal.addEventListener("abort", () => feed.error(signal.reason));
    return Promise.resolve(new Response(body));
  };
  const environment = {
    ...defaultEnvironment(),
    clock: { now: () => clock.nowMs, after: clock.after.bind(clock) },
  };
  return { http: new Http("http://test", fetch, environment), clock, feed };
}

describe("an answer that is read line by line", () => {
  it("has the same lines wherever it is cut, in the middle of a character too", async () => {
    const text = "one\n\ntwo é😀\nlast";
    const bytes = encoder.encode(text);
    for (const size of [1, 2, 3, 5, bytes.length]) {
      const { http, feed } = streamed();
      for (let at = 0; at < bytes.length; at += size) feed.enqueue(bytes.slice(at, at + size));
      feed.close();
      const lines: string[] = [];
      for await (const line of http.lines({ method: "GET", path: "/" })) lines.push(line);
      // What has no end was cut off.
      expect(lines).toEqual(["one", "", "two é😀"]);
    }
  });

  it("fails when nothing comes for too long, but not because the loop takes long", async () => {
    const { http, clock, feed } = streamed();
    const lines = http.lines({ method: "GET", path: "/" });
    feed.enqueue(encoder.encode("one\n"));
    expect((await lines.next()).value).toBe("one");
    await clock.advance(1_000_000);
    const next = lines.next();
    await clock.advance(40_000);
    feed.enqueue(encoder.encode("two\n"));
    expect((await next).value).toBe("two");
    const never = lines.next().catch((error: unknown) => error);
    await settled();
    await clock.advance(46_000);
    expect(await never).toMatchObject({ code: "timeout", retryable: true });
  });

  it("lets go of the connection when the loop is left", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(encoder.encode("one\ntwo\n")),
      cancel: () => void (cancelled = true),
    });
    const http = new Http("http://test", () => Promise.resolve(new Response(body)), defaultEnvironment());
    for await (const line of http.lines({ method: "GET", path: "/" })) {
      expect(line).toBe("one");
      break;
    }
    expect(cancelled).toBe(true);
  });
});
