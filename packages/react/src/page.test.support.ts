import { Daybook, type Session, type Store } from "@daybook/client";
import { ASSISTANT_CHUNK } from "@daybook/client/ai";
import { eventually, type TestServer } from "@daybook/test-kit";
import type { UIMessageChunk } from "ai";
import { Window } from "happy-dom";
import type * as React from "react";
import type { ReactNode } from "react";
import type * as ReactDomClient from "react-dom/client";
import type * as ReactDomServer from "react-dom/server";
import { WebSocket } from "ws";

/** React looks for a document when it is loaded: this file is imported before it. */
const window = new Window({ url: "http://localhost/" });
const { document, navigator } = window;
Object.assign(globalThis, { window, document, navigator, IS_REACT_ACT_ENVIRONMENT: false });

/** The parts of a React that tests need, of whichever version. */
export interface Reacts {
  readonly name: string;
  readonly React: Pick<typeof React, "Component" | "createElement" | "StrictMode" | "useEffect" | "version">;
  readonly client: Pick<typeof ReactDomClient, "createRoot" | "hydrateRoot">;
  readonly server: Pick<typeof ReactDomServer, "renderToString">;
}

/** A page that shows what a hook gives. */
export class Page<Value> implements Disposable {
  /** What the hook gave, render by render. */
  readonly renders: Value[] = [];
  readonly container = globalThis.document.createElement("div");
  private root: ReactDomClient.Root | undefined;

  constructor(
    private readonly reacts: Reacts,
    /** Called while rendering. */
    private readonly use: () => Value,
    private readonly show: (value: Value) => ReactNode = () => null,
  ) {}

  /** Renders as an app in development does: everything twice. */
  open(): this {
    this.root = this.reacts.client.createRoot(this.container);
    this.root.render(this.element());
    return this;
  }

  /** What a server sends. */
  html(): string {
    return this.reacts.server.renderToString(this.element());
  }

  /** Takes over what a server has sent. @param failed what React complains about */
  hydrate(html: string, failed: (error: unknown) => void): this {
    this.container.innerHTML = html;
    this.root = this.reacts.client.hydrateRoot(this.container, this.element(), {
      onRecoverableError: failed,
    });
    return this;
  }

  /** Renders again, with what `use` closes over now. */
  again(): void {
    this.root?.render(this.element());
  }

  get now(): Value {
    const value = this.renders.at(-1);
    if (value === undefined) throw new Error("Nothing was rendered yet.");
    return value;
  }

  /** Waits until what is rendered is as it should be. */
  async until(what: string, is: (value: Value) => boolean): Promise<Value> {
    await eventually(what, () => this.renders.length > 0 && is(this.now));
    return this.now;
  }

  [Symbol.dispose](): void {
    this.root?.unmount();
  }

  private element(): ReactNode {
    const { createElement, StrictMode, useEffect } = this.reacts.React;
    const Shown = (): ReactNode => {
      const value = this.use();
      useEffect(() => void this.renders.push(value));
      return createElement("main", null, this.show(value));
    };
    this.Shown ??= Shown;
    return createElement(StrictMode, null, createElement(this.Shown));
  }

  private Shown: (() => ReactNode) | undefined;
}

/** Goes nowhere. */
class NoSocket extends WebSocket {
  constructor() {
    super("ws://127.0.0.1:1/");
    this.on("error", () => undefined);
  }
}

/** A client that counts what it asks for. */
export class Client implements AsyncDisposable {
  readonly requests: string[] = [];
  readonly daybook: Daybook;
  /** No request gets through; of sockets, as it was at the beginning. */
  isOffline: boolean;

  constructor(
    private readonly server: Pick<TestServer, "url">,
    { store, isOffline = false }: { readonly store?: Store; readonly isOffline?: boolean } = {},
  ) {
    this.isOffline = isOffline;
    this.daybook = new Daybook({
      baseUrl: server.url,
      WebSocket: isOffline ? NoSocket : WebSocket,
      store,
      fetch: (url, init) => {
        this.requests.push(`${init.method} ${url.slice(server.url.length)}`);
        return this.isOffline ? Promise.reject(new TypeError("fetch failed")) : fetch(url, init);
      },
    });
  }

  /** Another one of the same server. */
  with(options: { readonly store?: Store; readonly isOffline?: boolean }): Client {
    return new Client(this.server, options);
  }

  /** A session, made if it is not there; nothing of it is read. */
  async session(id: string, actor = "user:alice"): Promise<Session> {
    const [type, name = ""] = actor.split(":");
    const identity = type === "user" ? this.daybook.user({ id: name }) : this.daybook.agent({ id: name });
    const session = await this.daybook.session({ id, identity });
    this.requests.length = 0;
    return session;
  }

  /** An agent that says what it is told to. */
  async agent(id: string, name = "a"): Promise<(...chunks: readonly UIMessageChunk[]) => Promise<void>> {
    const session = await this.session(id, `agent:${name}`);
    return async (...chunks) => {
      await session.appendAll(
        chunks.map((chunk) => ({ type: ASSISTANT_CHUNK, payload: { kind: ASSISTANT_CHUNK, chunk } })),
      );
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daybook.close({ timeoutMs: 0 });
  }
}
