import { processIo } from "./io.js";
import { run } from "./run.js";

const io = processIo();
const exitCode = await run(process.argv.slice(2), io);
process.exitCode = exitCode;
// Nothing is left to do, but a pipe may not have taken all yet (on some systems writes to it are not done at once), and
// an inherited stdin or an idle connection could keep the process.
for (const output of [io.stdout, io.stderr]) {
  if (output.writableLength > 0) await new Promise<void>((resolve) => output.write("", () => resolve()));
}
process.exit();
