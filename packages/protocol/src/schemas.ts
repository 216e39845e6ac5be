/** Apart from the rest of what crosses the wire: only who checks or describes it needs the schemas, and their library. */
export * from "./conversation-schemas.js";
export * from "./session-schemas.js";
