export { EXIT } from "./exit-codes.js";
export type { Clock, EndSignal, Input, Io, Output } from "./io.js";
export { processIo } from "./io.js";
export { run } from "./run.js";
