import pico from "picocolors";
import type { Io, Output } from "./io.js";

export type Paint = ReturnType<typeof pico.createColors>;

/** Colours for one output: only on a terminal, never with NO_COLOR, always with FORCE_COLOR. */
export function paintFor(output: Output, env: Io["env"]): Paint {
  if (isSet(env["NO_COLOR"])) return pico.createColors(false);
  return pico.createColors(isSet(env["FORCE_COLOR"]) || (output.isTTY === true && env["TERM"] !== "dumb"));
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}
