export * from "./disk-files.js";
export { EmbeddedEngine } from "./engine.js";
export * from "./log-files.js";
export * from "./memory-files.js";
export * from "./open-engine.js";
export * from "./refusals.js";
export * from "./settings.js";
