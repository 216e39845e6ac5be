import { argument, connect } from "./connect.js";
import type { Approval } from "./memory.js";

/** A person's answer: node answer.js SESSION yes | no [WHAT TO LOOK FOR] */
const lookFor = process.argv[4];
const approved = argument(1, "The answer, yes or no,") === "yes";

await using daybook = connect();
const identity = daybook.user({ id: process.env["USER"] ?? "somebody" });
const session = await daybook.session({ identity, id: argument(0, "The session") });
const [doing, draft] = await Promise.all([session.state.get("doing"), session.state.get("draft")]);
if (doing === undefined || draft === undefined || (doing.value as { kind: string }).kind !== "ask")
  throw new Error("Nobody is asked anything now.");
const approval: Approval = {
  approved,
  draftVersion: draft.version,
  ...(lookFor !== undefined && { lookFor }),
};
// Two people may answer at once: the first one counts.
await session.append({
  type: "approval",
  payload: { ...approval },
  refs: { to_seq: doing.seq },
  state: { set: { approval }, delete: ["doing"], if: { doing: doing.version } },
});
