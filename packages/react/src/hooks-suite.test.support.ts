import { Page, type Reacts } from "./page.test.support.js";
import type { SessionEvent } from "@daybook/client";
import { beginning, ENDING, eventually, words } from "@daybook/test-kit";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { loadChat } from "./load-chat.js";
import { said, Script } from "./session-events.test.support.js";
import { SessionPerTest } from "./session-per-test.test.support.js";
import { useDaybookChat } from "./use-daybook-chat.js";
import { useOpenSession } from "./use-open-session.js";
import { type UsedSession, useSession } from "./use-session.js";

const seqs = ({ events }: { readonly events: readonly SessionEvent[] }): number[] =>
  events.map(({ seq }) => seq);
const to = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, n) => first + n);

/** What both Reacts have to do alike. */
export function describeHooks(reacts: Reacts): void {
  const at = new SessionPerTest();
  beforeEach(() => {
    vi.spyOn(console, "error");
  });
  afterEach(() => {
    // React complains there: about hydration, keys, updates that nobody sees.
    expect(vi.mocked(console.error).mock.calls).toEqual([]);
    vi.restoreAllMocks();
  });
  const page = <Value>(use: () => Value, show?: (value: Value) => string): Page<Value> =>
    new Page(reacts, use, show);
  /** Writes a script's events into the session. */
  const write = async ({ events }: Script, from = 1): Promise<void> => {
    const written = new Map<string, number>();
    for (const { seq, type, actor, payload, producer_id } of events) {
      const producerSeq = (written.get(producer_id) ?? 0) + 1;
      written.set(producer_id, producerSeq);
      if (seq < from) continue;
      const body = { type, actor, payload, producer_id, producer_seq: producerSeq };
      const { status, text } = await at.server.append(at.id, body);
      if (status !== 201) throw new Error(text);
    }
  };
  const tell = (change: (script: Script) => Script): Script => change(new Script());

  describe(`useSession in React ${reacts.name}`, () => {
    test("is the React it says", () => expect(reacts.React.version).toMatch(`${reacts.name}.`));

    test("shows the newest page, then what comes, and older pages when they are asked for", async () => {
      await at.server.fill(at.id, { to: 25 });
      const session = await at.here.session(at.id);
      using shown = page(() => useSession({ session, pageEvents: 10 })).open();
      expect(seqs(await shown.until("a page is there", ({ isLoading }) => !isLoading))).toEqual(to(25, 16));
      await at.server.fill(at.id, { from: 26, to: 28 });
      expect(seqs(await shown.until("more", ({ events }) => events.length > 12))).toEqual(to(28, 16));
      expect(shown.now).toMatchObject({ status: "live", hasOlder: true, error: undefined });

      await shown.now.loadOlder();
      await shown.until("the page before", (now) => seqs(now)[0] === 6 && !now.isLoadingOlder);
      await Promise.all([shown.now.loadOlder(), shown.now.loadOlder()]);
      await shown.until("the first event", ({ hasOlder }) => !hasOlder);
      expect(seqs(shown.now)).toEqual(to(28));
      await shown.now.loadOlder();
      expect(at.here.requests.filter((request) => request.includes("before="))).toHaveLength(3);
    });

    test("appends: pending until it is committed, then among the events", async () => {
      const session = await at.here.session(at.id);
      using shown = page(() => useSession({ session })).open();
      await shown.until("it is live", ({ status }) => status === "live");
      const { seq } = await shown.now.append({ text: "Hello!" });
      expect(seq).toBe(1);
      await shown.until("it is there", ({ events, pending }) => events.length === 1 && pending.length === 0);
      expect(shown.renders.some(({ outbox }) => outbox.pending === 1)).toBe(true);
      expect(shown.now.events[0]).toMatchObject({ seq: 1, payload: { text: "Hello!" }, actor: "user:alice" });
    });

    test("tells what an append was refused for, until it is given up", async () => {
      const session = await at.here.session(at.id);
      using shown = page(() => useSession({ session })).open();
      await shown.until("it is live", ({ status }) => status === "live");
      const refused = shown.now.append({ payload: { text: "x".repeat(2 ** 20) } });
      await expect(refused).rejects.toMatchObject({ status: 413 });
      await shown.until("the error is shown", ({ error }) => error?.status === 413);
      session.discard();
      await shown.until(
        "it is forgotten",
        ({ error, pending }) => error === undefined && pending.length === 0,
      );
    });

    test("tells that nothing more comes", async () => {
      const session = await at.here.session(at.id);
      using shown = page(() => useSession({ session })).open();
      await shown.until("it is live", ({ status }) => status === "live");
      await at.server.call("DELETE", `/v1/sessions/${at.id}`);
      const { error } = await shown.until("it has ended", ({ status }) => status === "ended");
      expect(
        error?.code ?? (await shown.until("it says why", (now) => now.error !== undefined)).error?.code,
      ).toBe("session_not_found");
    });

    test("is hydrated without a flash, and asks for nothing that it was given", async () => {
      await at.server.fill(at.id, { to: 30 });
      const session = await at.here.session(at.id);
      const initialEvents = await session.before(Infinity, 20);
      const show = ({ events }: UsedSession): string => seqs({ events }).join(" ");
      const given: { session?: typeof session } = {};
      const use = (): UsedSession => useSession({ session: given.session, initialEvents });
      const html = page(use, show).html();
      expect(html).toBe(`<main>${to(30, 11).join(" ")}</main>`);

      at.here.requests.length = 0;
      given.session = session;
      const mismatches: unknown[] = [];
      using shown = page(use, show).hydrate(html, (error) => void mismatches.push(error));
      await shown.until("it is live", ({ status }) => status === "live");
      await at.server.fill(at.id, { from: 31, to: 31 });
      await shown.until("the next event", ({ events }) => events.at(-1)?.seq === 31);
      expect(mismatches).toEqual([]);
      for (const render of shown.renders) {
        expect(seqs(render).slice(0, 20)).toEqual(to(30, 11));
        expect(render).toMatchObject({ isLoading: false, hasOlder: true, error: undefined });
      }
      expect(at.here.requests.filter((request) => request.includes("before="))).toEqual([]);
    });

    test("another session is another list at once, and the old one is left alone", async () => {
      const other = await at.server.create({ id: `${at.id}-other` });
      await at.server.fill(at.id, { to: 3 });
      await at.server.fill(other, { to: 5 });
      const sessions = [await at.here.session(at.id), await at.here.session(other)] as const;
      let which: 0 | 1 = 0;
      using shown = page(() => ({ which, ...useSession({ session: sessions[which] }) })).open();
      await shown.until("the first", ({ events }) => events.length === 3);
      which = 1;
      shown.again();
      await shown.until("the second", ({ events }) => events.length === 5);
      const mixed = shown.renders.filter((now) => now.which === 1 && now.events.length === 3);
      expect(mixed).toEqual([]);
    });

    test("useOpenSession throws what it could not be opened for where it is rendered", async () => {
      const { Component, createElement } = reacts.React;
      class Boundary extends Component<{ readonly children?: ReactNode }> {
        override readonly state: { readonly failed?: Error } = {};
        static getDerivedStateFromError = (failed: Error): object => ({ failed });
        override render = (): ReactNode => this.state.failed?.message ?? this.props.children;
      }
      const Opening = (): ReactNode => {
        useOpenSession(() => Promise.reject(new Error("No token for you.")), []);
        return "opening";
      };
      vi.mocked(console.error).mockImplementation(() => undefined);
      using shown = page(
        () => undefined,
        () => createElement(Boundary, null, createElement(Opening)) as never,
      ).open();
      await eventually("it is told", () => shown.container.textContent === "No token for you.");
      // React logs what a boundary has caught.
      vi.mocked(console.error).mockClear();
    });

    test("useOpenSession opens a session for as long as it is used", async () => {
      const opened: string[] = [];
      const wanted: AbortSignal[] = [];
      const open = async (signal: AbortSignal): ReturnType<typeof at.here.session> => {
        wanted.push(signal);
        const session = await at.here.session(at.id);
        opened.push(session.id);
        return session;
      };
      const shown = page(() => {
        const session = useOpenSession(open, [at.id]);
        return { session, ...useSession({ session }) };
      }).open();
      const { session } = await shown.until("it is live", ({ status }) => status === "live");
      // In strict mode the first one is closed again at once.
      expect(opened).toEqual([at.id, at.id]);
      expect(wanted.map(({ aborted }) => aborted)).toEqual([true, false]);
      shown[Symbol.dispose]();
      await eventually("it is not wanted any more", () => wanted[1]?.aborted === true);
      await eventually("it is closed", () => session?.status === "closed");
    });
  });

  describe(`useDaybookChat in React ${reacts.name}`, () => {
    const use = (session: Awaited<ReturnType<SessionPerTest["here"]["session"]>> | undefined, more = {}) =>
      page(
        () => useDaybookChat({ session, pageEvents: 8, ...more }),
        (chat) => said(chat).join(" | "),
      );

    test("shows a message at once, and the answer as it is written", async () => {
      const session = await at.here.session(at.id);
      using shown = use(session).open();
      await shown.until("it is open", ({ isLoading }) => !isLoading);
      const sent = shown.now.sendMessage({ text: "Hi" });
      await shown.until("it is pending", ({ status }) => status === "submitted");
      await sent;
      await write(tell((script) => script.chunks(beginning("a1")).chunks(words("One two "))));
      await shown.until("it is written", ({ status }) => status === "streaming");
      await shown.until("two words", (chat) => said(chat).join() === "user: Hi,assistant: One two ");
      await shown.now.stop();
      await shown.until("it is stopped", ({ status }) => status === "ready");
      // Once, in strict mode too.
      const events = await at.server.allEvents(at.id);
      expect(events.map(({ type }) => type).filter((type) => type !== "chat.assistant.chunk")).toEqual([
        "chat.user.message",
        "chat.stop",
      ]);
    });

    test("is hydrated without a flash in the middle of an answer, and goes on", async () => {
      const script = tell((one) =>
        one.says("u1", "Count.").chunks(beginning("a1")).chunks(words("One two ")),
      );
      await write(script);
      const session = await at.here.session(at.id);
      const loaded = await loadChat(session);
      const sent = JSON.parse(JSON.stringify(loaded)) as typeof loaded;
      expect(sent).toEqual(loaded);
      const html = use(undefined, sent).html();
      expect(html).toBe("<main>user: Count. | assistant: One two </main>");

      at.here.requests.length = 0;
      const mismatches: unknown[] = [];
      using shown = use(session, sent).hydrate(html, (error) => void mismatches.push(error));
      await shown.until("it is live", ({ connection }) => connection === "live");
      script.chunks(words("three")).chunks(ENDING);
      await write(script, 6);
      await shown.until("it is whole", ({ status }) => status === "ready");
      expect(said(shown.now)).toEqual(["user: Count.", "assistant: One two three"]);
      expect(mismatches).toEqual([]);
      for (const render of shown.renders) {
        expect(said(render)[1]).toMatch(/^assistant: One two /);
        expect(render.isLoading).toBe(false);
        expect(["streaming", render === shown.now ? "ready" : "streaming"]).toContain(render.status);
      }
      expect(at.here.requests.filter((request) => request.includes("before="))).toEqual([]);
    });

    test("opens at its end and loads older turns, whole ones", async () => {
      const script = new Script();
      for (let n = 1; n <= 6; n++) script.says(`u${n}`, `Question ${n}`).answers(`a${n}`, `Answer ${n}`);
      await write(script);
      const session = await at.here.session(at.id);
      using shown = use(session).open();
      await shown.until("it is open", ({ isLoading }) => !isLoading);
      expect(said(shown.now).at(-1)).toBe("assistant: Answer 6");
      expect(shown.now.hasOlder).toBe(true);
      while (shown.now.hasOlder) {
        const before = shown.now.messages;
        await shown.now.loadOlder();
        await shown.until("older ones", ({ messages }) => messages.length > before.length);
        // What was shown stays the same objects: nothing of it is rendered anew.
        for (const [index, message] of before.toReversed().entries())
          expect(shown.now.messages.toReversed()[index]).toBe(message);
        await shown.until("it is done", ({ isLoadingOlder }) => !isLoadingOlder);
      }
      expect(said(shown.now)).toEqual(
        to(6).flatMap((n) => [`user: Question ${n}`, `assistant: Answer ${n}`]),
      );
    });
  });
}
