export * from "./compare-views.js";
export * from "./flush.js";
export * from "./frame-position.js";
export * from "./lifecycle-note.js";
export * from "./list-sessions.js";
export * from "./open-log.js";
export * from "./records.js";
export * from "./views.js";
