export * from "./check-recovered.js";
export * from "./faulty-file.js";
export * from "./faulty-files.js";
export * from "./faulty-store.js";
export * from "./random.js";
export * from "./session-model.js";
export * from "./snapshot.js";
export * from "./workload.js";
