export {
  backupFolder,
  checkFolder,
  type CheckReport,
  type Copied,
  repairFolder,
  type Repaired,
  restoreFolder,
  StoreRefused,
} from "@daybook/engine-embedded";
export { VERSION } from "./app.js";
export { type RunningServer, serve } from "./serve.js";
export { readSettings, type Setting, SETTINGS, type Settings } from "./settings.js";
