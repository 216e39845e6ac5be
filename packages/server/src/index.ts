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
export {
  createApiKey,
  createSessionToken,
  listApiKeys,
  type NewApiKey,
  revokeApiKey,
  rotateKeys,
} from "./auth/manage-keys.js";
export { type ApiKeyFile } from "./auth/key-folder.js";
export { VERSION } from "./app.js";
export { letHeapGrow } from "./heap-growth.js";
export { type RunningServer, serve } from "./serve.js";
export { SessionService } from "./service/session-service.js";
export { readSettings, type Setting, SETTINGS, type Settings, WrongSetting } from "./settings.js";
