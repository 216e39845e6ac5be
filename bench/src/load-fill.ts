import { newProducer } from "./load-append.js";
import { HttpConnection } from "./load-connection.js";
import { AppendRequest } from "./load-request.js";
import type { FillTask } from "./load-task.js";

const CONNECTIONS = 8;

/** Brings new sessions to an exact length. */
export async function fill(task: FillTask): Promise<{ readonly events: number }> {
  const { target, sessions, eventsPerSession, eventsPerRequest, eventBytes } = task;
  if (eventsPerSession % eventsPerRequest !== 0) throw new Error("a session is filled by whole requests");
  let nextSession = 0;
  const filler = async (): Promise<void> => {
    const connection = await HttpConnection.open(target);
    const shape = { target, sessions, producer: newProducer(), events: eventsPerRequest, eventBytes };
    const request = new AppendRequest(shape);
    while (nextSession < sessions.count) {
      const session = nextSession++;
      for (let nth = 0; nth < eventsPerSession / eventsPerRequest; nth++) {
        const bytes = request.fill(session, nth);
        const status = await new Promise<number>((resolve) => connection.send(bytes, resolve));
        if (!request.isStored(status)) throw new Error(`filling a session was answered with ${status}`);
      }
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: Math.min(CONNECTIONS, sessions.count) }, filler));
  return { events: sessions.count * eventsPerSession };
}
