export * from "./canonical-json.js";
export * from "./conversation-schemas.js";
export * from "./errors.js";
export * from "./limits.js";
export * from "./names.js";
export * from "./parse-json.js";
export * from "./schemas.js";
