export * from "./engine.js";
export * from "./message-event.js";
export * from "./make-folder.js";
