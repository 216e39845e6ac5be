export * from "./engine.js";
export * from "./message-event.js";
