import type { Session, SessionEvent, StateEntry } from "@daybook/client";
import { argument, connect } from "./connect.js";

/** For each decision of a session what was known when it was made: node explain.js SESSION */
const WIDTH = 100;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

await using daybook = connect();
const identity = daybook.user({ id: "auditor" });
const session = await daybook.session({ identity, id: argument(0, "The session") });
let before = 0;
for (const event of await session.range(1, Infinity)) {
  if (event.type !== "decision") {
    say(`\n${event.seq}  ${event.actor}, ${event.type}: ${shortened(event.payload)}`);
    continue;
  }
  await explain(session, event, before);
  before = event.seq - 1;
}

/** The state as of just before the decision is what it was made from; what is new since the one before stands out. */
async function explain(
  session: Session,
  { seq, actor, payload }: SessionEvent,
  before: number,
): Promise<void> {
  const { because, ...action } = payload;
  say(`\n${seq}  ${actor} DECIDED ${shortened(action)}`);
  say(`   because ${String(because)}. It knew:`);
  for await (const { key, version, seq: since, value } of session.state.at(seq - 1).list())
    say(
      since > before
        ? `   + ${key} = ${shortened(value)}  (new with ${since}, version ${version})`
        : `     ${key}  (since ${since}, version ${version})`,
    );
}

function shortened(value: StateEntry["value"]): string {
  const text = JSON.stringify(value);
  return text.length <= WIDTH ? text : `${text.slice(0, WIDTH)}…`;
}
