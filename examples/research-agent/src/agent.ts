import { fileURLToPath } from "node:url";
import { type Daybook, DaybookError, type Session } from "@daybook/client";
import { act, type Folders } from "./act.js";
import { argument, connect } from "./connect.js";
import { type Memory, recall } from "./memory.js";
import { decide } from "./planner.js";

/**
 * The agent: node agent.js SESSION [QUESTION]. One turn is one of these, so that it can be killed at any moment:
 *
 *     nothing is being done     decide, and append the decision:  doing = the action
 *     something is being done   do it, and append its result:     doing is deleted, with what was learnt
 *     a person is asked         wait for the next event
 */
async function main(): Promise<void> {
  await using daybook = connect();
  const id = argument(0, "The session");
  const session = await daybook.session({ identity: daybook.agent({ id: "researcher" }), id });
  const question = process.argv[3];
  if (question !== undefined) await begin(session, question);
  while (await turn(daybook, session));
}

/** The first event, if it is not there: an agent that is started again goes on. */
async function begin(session: Session, question: string): Promise<void> {
  const first = { type: "question", payload: { text: question }, state: { set: { question } } };
  await unlessOvertaken(() => session.append({ ...first, expectedSeq: 0 }));
}

/** @returns false when nothing is left to do */
async function turn(daybook: Daybook, session: Session): Promise<boolean> {
  const memory = await recall(session, (await daybook.sessions.get(session.id)).last_seq);
  if (memory.doing === undefined) return decideNext(session, memory);
  if (memory.doing.value.kind === "ask") await nextEvent(session, memory.seq);
  else await finish(session, memory, memory.doing);
  return true;
}

async function decideNext(session: Session, memory: Memory): Promise<boolean> {
  const decision = decide(memory);
  if (decision === undefined) return false;
  const { action, because } = decision;
  const event = { type: "decision", payload: { ...action, because }, state: { set: { doing: action } } };
  // A decision stands right behind what it was made from: if anybody said something meanwhile, it is made anew.
  await unlessOvertaken(() => session.append({ ...event, expectedSeq: memory.seq }));
  return true;
}

async function finish(
  session: Session,
  memory: Memory,
  { value: action, version, seq }: NonNullable<Memory["doing"]>,
): Promise<void> {
  if (action.kind === "ask") return;
  await hangIfAsked(session, seq);
  const { text, set } = await act(action, memory, FOLDERS, session.id);
  const state = { set, delete: ["doing"], if: { doing: version } };
  // Should another process of this agent have been quicker, its result stands.
  await unlessOvertaken(() =>
    session.append({ type: "result", payload: { text }, refs: { to_seq: seq }, state }),
  );
}

async function nextEvent(session: Session, cursor: number): Promise<void> {
  for await (const _event of session.events({ cursor })) return;
}

async function unlessOvertaken(append: () => Promise<unknown>): Promise<void> {
  try {
    await append();
  } catch (error) {
    const code = error instanceof DaybookError ? error.code : undefined;
    if (code !== "expected_seq_conflict" && code !== "state_conflict") throw error;
  }
}

/** A tool that never answers, in the decision with that number: the moment to be killed in. */
async function hangIfAsked(session: Session, seq: number): Promise<void> {
  const hangAt = Number(process.env["HANG_AT_DECISION"]);
  const events = await session.range(1, seq);
  if (events.filter(({ type }) => type === "decision").length !== hangAt) return;
  // As long as a timer can be: a promise alone would not keep the process alive until it is killed.
  await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
}

const FOLDERS: Folders = {
  docs: process.env["DOCS"] ?? fileURLToPath(new URL("../../../docs/", import.meta.url)),
  reports: process.env["REPORTS"] ?? "reports",
};

await main();
