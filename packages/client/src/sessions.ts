import { asDaybookError } from "./errors.js";
import type { Call, Http } from "./http.js";
import type { JsonObject, SessionPage, SessionRecord } from "./wire.js";

export interface ListOptions {
  /** Left out: those that are not archived. */
  readonly archived?: boolean | "all";
  /** Top-level members of the metadata, compared as text. */
  readonly metadata?: Readonly<Record<string, string | number | boolean>>;
  /** Only forks of this session. */
  readonly forkedFrom?: string;
  readonly sort?: "id" | "created" | "updated";
  readonly order?: "asc" | "desc";
  /** Of one page. */
  readonly limit?: number;
}

export interface CreateRecordOptions {
  readonly id?: string;
  readonly title?: string | null;
  readonly metadata?: JsonObject;
}

export interface ForkOptions extends CreateRecordOptions {
  /** The last seq to share; left out: all there is. */
  readonly atSeq?: number;
}

export interface UpdateOptions {
  /** Null clears it. */
  readonly title?: string | null;
  /** Merged into what is there, member by member of the top level. */
  readonly metadata?: JsonObject;
  /** The record's version as the caller knows it; any other refuses. */
  readonly expectedVersion?: number;
}

/** Sessions as records: `daybook.sessions`. Calls need an API key, or a token with the scopes. */
export class Sessions {
  constructor(
    private readonly http: Http,
    private readonly token: string | undefined,
    private readonly newId: () => string,
  ) {}

  /**
   * All sessions, page by page as the loop goes on.
   *
   * @example
   * for await (const record of daybook.sessions.list({ metadata: { topic: "support" }, sort: "updated", order: "desc" }))
   *   console.log(record.id, record.title);
   */
  async *list(options: ListOptions = {}): AsyncGenerator<SessionRecord, void, undefined> {
    let page = await this.page(options);
    for (;;) {
      yield* page.sessions;
      if (page.next_cursor === null) return;
      page = await this.page({ ...options, cursor: page.next_cursor });
    }
  }

  /** One page of them. */
  async page({ cursor, ...options }: ListOptions & { readonly cursor?: string } = {}): Promise<SessionPage> {
    const query = new URLSearchParams();
    for (const name of ["archived", "sort", "order", "limit"] as const)
      if (options[name] !== undefined) query.set(name, String(options[name]));
    for (const [name, value] of Object.entries(options.metadata ?? {}))
      query.append(`metadata[${name}]`, String(value));
    if (options.forkedFrom !== undefined) query.set("forked_from", options.forkedFrom);
    if (cursor !== undefined) query.set("cursor", cursor);
    return (await this.call("GET", `?${query.toString()}`)) as SessionPage;
  }

  /**
   * @throws DaybookError session_exists
   * @example
   * const { id } = await daybook.sessions.create({ title: "First", metadata: { topic: "support" } });
   */
  create(options: CreateRecordOptions = {}): Promise<SessionRecord> {
    return this.make("", options);
  }

  /**
   * Makes a session that shares the events and the state of another one up to a seq. Nothing is copied; from there each
   * goes its own way.
   *
   * @throws DaybookError invalid_cursor, if `atSeq` is beyond the end; session_exists, fork_too_deep
   * @example
   * const { id, forked_from } = await daybook.sessions.fork("support-1", { atSeq: 7, title: "What if?" });
   */
  fork(parentId: string, { atSeq, ...options }: ForkOptions = {}): Promise<SessionRecord> {
    return this.make(`${path(parentId)}/fork`, options, { at_seq: atSeq });
  }

  /** @throws DaybookError session_not_found */
  async get(id: string): Promise<SessionRecord> {
    return (await this.call("GET", path(id))) as SessionRecord;
  }

  /**
   * @throws DaybookError expected_version_conflict, with `current_version`
   * @example
   * const record = await daybook.sessions.update("support-1", { title: "Solved", metadata: { state: "done" } });
   */
  async update(id: string, { expectedVersion, ...patch }: UpdateOptions): Promise<SessionRecord> {
    const body = { ...patch, ...(expectedVersion !== undefined && { expected_version: expectedVersion }) };
    // With a version, a second try after a first that got through would meet its own change.
    return (await this.call("PATCH", path(id), body, expectedVersion === undefined)) as SessionRecord;
  }

  /** Hides it from lists; nothing else changes. */
  async archive(id: string): Promise<SessionRecord> {
    return (await this.call("POST", `${path(id)}/archive`, {})) as SessionRecord;
  }

  async unarchive(id: string): Promise<SessionRecord> {
    return (await this.call("POST", `${path(id)}/unarchive`, {})) as SessionRecord;
  }

  /**
   * Erases it for ever, events and all. The id is never usable again.
   *
   * @param options `cascade` erases its forks too, and theirs
   * @throws DaybookError session_not_found; session_has_forks, with their count in `forks`
   */
  async delete(id: string, { cascade = false }: { readonly cascade?: boolean } = {}): Promise<void> {
    try {
      await this.call("DELETE", `${path(id)}${cascade ? "?cascade=true" : ""}`);
    } catch (thrown) {
      const error = asDaybookError(thrown);
      // An earlier try may have got through without an answer; gone is what it was to be.
      if (error.code !== "session_not_found" || !error.mayHaveHappened) throw error;
    }
  }

  private async make(
    rest: string,
    { id, ...options }: CreateRecordOptions,
    more?: object,
  ): Promise<SessionRecord> {
    // With an id a second try cannot make a second session; and one made up here exists only if a first try got through.
    const body = { id: id ?? `ses_${this.newId()}`, ...options, ...more };
    try {
      return (await this.call("POST", rest, body)) as SessionRecord;
    } catch (error) {
      if (id !== undefined || asDaybookError(error).code !== "session_exists") throw error;
      return this.get(body.id);
    }
  }

  private call(method: Call["method"], rest: string, body?: object, isRepeatable = true): Promise<unknown> {
    const { token } = this;
    const call = { method, path: `/v1/sessions${rest}`, token };
    return this.http.call(body === undefined ? call : { ...call, body: JSON.stringify(body) }, isRepeatable);
  }
}

function path(id: string): string {
  return `/${encodeURIComponent(id)}`;
}
