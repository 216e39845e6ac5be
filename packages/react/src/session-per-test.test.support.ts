import { Client } from "./page.test.support.js";
import { ASSISTANT_CHUNK } from "@daybook/client/ai";
import { startServer, type TestServer } from "@daybook/test-kit";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

/** For each test a session, with two clients, on one server. */
export class SessionPerTest {
  server!: TestServer;
  here!: Client;
  there!: Client;
  id = "";
  private count = 0;

  constructor() {
    beforeAll(async () => {
      this.server = await startServer({ store: "memory" });
    });
    afterAll(() => this.server[Symbol.asyncDispose]());
    beforeEach(async () => {
      [this.here, this.there] = [new Client(this.server), new Client(this.server)];
      this.id = await this.server.create({ id: `s${++this.count}` });
    });
    afterEach(async () => {
      await this.here[Symbol.asyncDispose]();
      await this.there[Symbol.asyncDispose]();
    });
  }

  /** An agent elsewhere that says what it is told to. */
  agent(name?: string): ReturnType<Client["agent"]> {
    return this.there.agent(this.id, name);
  }

  /** Of its events, in order; chunks of answers left out. */
  async types(): Promise<string[]> {
    const events = await this.server.allEvents(this.id);
    return events.map(({ type }) => type).filter((type) => type !== ASSISTANT_CHUNK);
  }
}
