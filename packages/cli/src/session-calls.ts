import { whyNotAnId } from "@daybook/protocol/names";
import type { ActorTokens } from "./actor-tokens.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure, ServerRefusal, UsageFailure } from "./failures.js";
import type { Patience, ServerClient } from "./server-client.js";

/** @throws UsageFailure when no session can have this id (`..` would even change the path). */
export function checkSessionId(id: string): void {
  const why = whyNotAnId(id);
  if (why !== undefined) throw new UsageFailure(`the session id ${JSON.stringify(id)} ${why}`);
}

/** @throws UsageFailure */
export function sessionPath(id: string): string {
  checkSessionId(id);
  return `/v1/sessions/${encodeURIComponent(id)}`;
}

/**
 * Creates the session unless it is there. Safe to repeat: a second time it is there.
 *
 * A token that may append but not create is no obstacle here: if the session is missing, the append will say so.
 */
export async function ensureSession(client: ServerClient, id: string, patience?: Patience): Promise<void> {
  sessionPath(id);
  try {
    const body = JSON.stringify({ id });
    await client.call({ method: "POST", path: "/v1/sessions", body, repeatable: true }, patience);
  } catch (error) {
    if (!(error instanceof ServerRefusal)) throw error;
    const exists = error.status === 409 && error.code !== "session_deleted";
    if (!exists && error.code !== "forbidden_scope") throw error;
  }
}

export interface AppendTo {
  readonly client: ServerClient;
  readonly session: string;
  /** Who writes. */
  readonly actor: ActorTokens;
}

/** Appends a body with producer pairs, so that the server recognises a repetition; creates a missing session. */
export async function append(to: AppendTo, body: string, patience?: Patience): Promise<string> {
  const tried = new Set<string>();
  for (;;) {
    try {
      return await appendOnce(to, body, patience);
    } catch (error) {
      if (!(error instanceof ServerRefusal) || tried.has(error.code)) throw error;
      tried.add(error.code);
      if (error.code === "session_not_found") await ensureSession(to.client, to.session, patience);
      // It may have ended earlier than this machine's clock says.
      else if (error.code !== "unauthorized" || !to.actor.forget()) throw error;
    }
  }
}

/**
 * Asks whether an event would be taken, without writing it: it is to follow a seq that no session reaches, so that all
 * that can be wrong with it, its actor or the session is said, or else that it does not follow. A server that is busy or
 * away says nothing against it.
 * @throws ServerRefusal, Interrupted
 */
export async function refuseUnlessRecordable(to: AppendTo, event: Record<string, unknown>): Promise<void> {
  try {
    await append(to, JSON.stringify({ ...event, expected_seq: Number.MAX_SAFE_INTEGER }));
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    const wouldBeTaken = error instanceof ServerRefusal && error.code === "expected_seq_conflict";
    if (!wouldBeTaken && error.exitCode !== EXIT.unreachable) throw error;
  }
}

async function appendOnce(
  { client, session, actor }: AppendTo,
  body: string,
  patience: Patience | undefined,
): Promise<string> {
  const path = `${sessionPath(session)}/append`;
  const token = await actor.token(patience);
  const call = {
    method: "POST",
    path,
    body,
    repeatable: true,
    ...(token !== undefined && { token }),
  } as const;
  return client.call(call, patience);
}

export async function getRecord(client: ServerClient, id: string, patience?: Patience): Promise<string> {
  return client.call({ method: "GET", path: sessionPath(id), repeatable: true }, patience);
}
