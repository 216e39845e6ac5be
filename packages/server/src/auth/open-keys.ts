import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import type { Settings } from "../settings.js";
import { Authenticator } from "./authenticator.js";
import { IssuerKeys } from "./issuer-keys.js";
import { KeyFolder } from "./key-folder.js";
import { ensureSigningKey, KeyRing } from "./key-ring.js";
import { watchKeys } from "./watch-keys.js";

export interface OpenedKeys {
  readonly authenticator: Authenticator;
  /** Says by which URL clients know this server: tokens name it from now on, and those that do are our own. */
  publish(url: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * A server's keys, watched. They are in the data folder, with `--store memory` too; only a server that asks for no
 * token and keeps nothing has some for as long as it runs.
 */
export async function openKeys(
  settings: Settings,
  auth: "none" | "jwt",
  logger: Logger,
): Promise<OpenedKeys> {
  const outside = outsideIssuer(settings);
  const isThrownAway = settings.store === "memory" && auth === "none";
  const path = isThrownAway ? await mkdtemp(join(tmpdir(), "daybook-keys-")) : resolve(settings.dataDir);
  const folder = new KeyFolder(path);
  await ensureSigningKey(folder);
  const load = async (): Promise<KeyRing> => KeyRing.load(await folder.read());
  const authenticator = new Authenticator(auth, await load(), "", outside);
  const watch = watchKeys(folder, authenticator, (error) =>
    logger.error({ err: error }, "the keys folder cannot be read"),
  );
  authenticator.lookAtKeys = () => watch.look();
  return {
    authenticator,
    publish: async (url) => {
      authenticator.publicUrl = url;
      await folder.addIssuer(url);
      authenticator.replaceKeys(await load());
    },
    close: async () => {
      watch.stop();
      if (isThrownAway) await rm(path, { recursive: true, force: true });
    },
  };
}

function outsideIssuer({ jwtIssuer, jwtAudience, jwksUrl }: Settings): IssuerKeys | undefined {
  // All three or none: they were checked at the start.
  if (jwtIssuer === undefined || jwtAudience === undefined || jwksUrl === undefined) return undefined;
  return new IssuerKeys({ issuer: jwtIssuer, audience: jwtAudience, jwksUrl });
}
