export * from "./canonical-json.js";
export * from "./errors.js";
export * from "./limits.js";
export * from "./names.js";
export * from "./parse-json.js";
