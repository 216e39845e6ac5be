import {
  convertToModelMessages,
  readUIMessageStream,
  type streamText,
  type UIMessage,
  type UIMessageChunk,
} from "ai";
import {
  readUIMessageStream as readUIMessageStream5,
  type streamText as streamText5,
  type UIMessage as UIMessage5,
  type UIMessageChunk as UIMessageChunk5,
} from "ai-5";
import { describe, expectTypeOf, test } from "vitest";
import { readMessages, recordStream, type RecordedMessage, type AgentTurn } from "./ai/index.js";
import {
  type AppendResult,
  Daybook,
  type DaybookError,
  type Gap,
  indexedDbStore,
  type LifecycleEvent,
  localStorageStore,
  memoryStore,
  type Session,
  type SessionEvent,
  type SessionRecord,
  type SessionStatus,
  type Store,
} from "./index.js";

/** Never called: only its types are looked at. */
const looked = (_look: (...given: never[]) => unknown): void => undefined;

describe("the public types", () => {
  test("a session is made with a call, and bound without one", () => {
    looked((daybook: Daybook) => {
      expectTypeOf(daybook.session({ token: "" })).toEqualTypeOf<Session>();
      expectTypeOf(daybook.session({ identity: daybook.user({ id: "" }) })).toEqualTypeOf<Promise<Session>>();
      expectTypeOf(daybook.sessions.list()).toExtend<AsyncIterable<SessionRecord>>();
      // @ts-expect-error: neither a token nor an identity says who it is for
      void daybook.session({ id: "" });
      // @ts-expect-error: with a token, neither an identity nor a title is given: the token says who it is for
      void daybook.session({ token: "", identity: daybook.user({ id: "" }), title: "" });
    });
  });

  test("clients take the WebSocket of browsers and of ws, any fetch, any store", () => {
    looked((browser: typeof WebSocket, fetched: typeof fetch, own: Store) => {
      new Daybook({ baseUrl: "", WebSocket: browser, fetch: fetched, store: own });
      new Daybook({ baseUrl: "", apiKey: process.env.KEY });
      expectTypeOf([indexedDbStore(), localStorageStore(), memoryStore()]).toEqualTypeOf<Store[]>();
      // @ts-expect-error: without a baseUrl there is no server
      new Daybook({});
    });
  });

  test("listeners get what their event is", () => {
    looked((session: Session, daybook: Daybook) => {
      session.on("event", (event) => expectTypeOf(event).toEqualTypeOf<SessionEvent>());
      session.on("error", (error) => expectTypeOf(error).toEqualTypeOf<DaybookError>());
      session.on("gap", (gap) => expectTypeOf(gap).toEqualTypeOf<Gap>());
      session.on("status", (status) => expectTypeOf(status).toEqualTypeOf<SessionStatus>());
      expectTypeOf(session.on("append", () => undefined)).toEqualTypeOf<() => void>();
      daybook.on("session.created", (event) => expectTypeOf(event).toEqualTypeOf<LifecycleEvent>());
      // @ts-expect-error: it is called `event`: a listener under another name would never be called
      session.on("events", () => undefined);
    });
  });

  test("appends say what they are answered", () => {
    looked((session: Session) => {
      expectTypeOf(session.append({ text: "" })).toEqualTypeOf<Promise<AppendResult>>();
      expectTypeOf(session.appendAll([{ payload: {} }], { expectedSeq: 1 })).toEqualTypeOf<
        Promise<readonly AppendResult[]>
      >();
      expectTypeOf(session.events()).toExtend<AsyncIterable<SessionEvent>>();
      expectTypeOf<SessionEvent<{ text: string }>["payload"]["text"]>().toEqualTypeOf<string>();
      // @ts-expect-error: a condition is on the whole list, and stands in the options
      void session.appendAll([{ text: "", expectedSeq: 1 }]);
      // @ts-expect-error: a payload is an object, never a bare text
      void session.append({ payload: "text" });
    });
  });

  test("what the AI SDK streams and reads fits, in its current major and the one before", () => {
    looked(
      async (
        session: Session,
        [result, result5]: [ReturnType<typeof streamText>, ReturnType<typeof streamText5>],
        [chunks, chunks5]: [ReadableStream<UIMessageChunk>, ReadableStream<UIMessageChunk5>],
        turn: AgentTurn,
      ) => {
        for (const stream of [result.toUIMessageStream(), result5.toUIMessageStream(), chunks, chunks5])
          expectTypeOf(await recordStream(session, stream)).toEqualTypeOf<RecordedMessage>();
        await recordStream(session, (signal) => {
          expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
          return result.toUIMessageStream();
        });
        expectTypeOf(await turn.messages(readUIMessageStream)).toEqualTypeOf<UIMessage[]>();
        await convertToModelMessages(await turn.messages(readUIMessageStream));
        expectTypeOf(await readMessages<UIMessage>([], readUIMessageStream)).toEqualTypeOf<UIMessage[]>();
        expectTypeOf(await readMessages<UIMessage5>([], readUIMessageStream5)).toEqualTypeOf<UIMessage5[]>();
      },
    );
  });
});
