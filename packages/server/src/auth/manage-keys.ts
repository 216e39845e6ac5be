import { randomBytes } from "node:crypto";
import { DaybookError } from "@daybook/protocol";
import { API_KEY_PREFIX, whyNotAPrincipal, whyNotATenant } from "./caller-of-claims.js";
import { type ApiKeyFile, KeyFolder } from "./key-folder.js";
import { ensureSigningKey, KeyRing, newSigningKey } from "./key-ring.js";
import { isScope, SCOPES } from "./scopes.js";
import { mintSessionToken, readSessionTokenRequest, SESSION_TOKEN_SECONDS_MAX } from "./session-tokens.js";

const YEAR_SECONDS = 365 * 24 * 3600;
const TTL_SECONDS_MAX = 100 * YEAR_SECONDS;
const SESSION_SCOPES = ["session:read", "session:append"];
const DEFAULT_URL = "http://127.0.0.1:4000";

export interface NewApiKey {
  readonly tenant: string;
  readonly name?: string;
  readonly scopes?: readonly string[];
  readonly ttlSeconds?: number;
  /** The server's own URL, which the key names as its issuer. */
  readonly publicUrl?: string;
}

/** Makes an API key in a data folder: a JWT, shown now and kept nowhere. A running server accepts it at once. */
export async function createApiKey(
  dataDir: string,
  { tenant, name, scopes = SCOPES, ttlSeconds = YEAR_SECONDS, publicUrl }: NewApiKey,
): Promise<{ readonly key: string; readonly file: ApiKeyFile }> {
  checkTenant(tenant);
  const id = `${API_KEY_PREFIX}${randomBytes(9).toString("base64url")}`;
  checkNewKey({ name: name ?? id, scopes, ttlSeconds });
  const folder = new KeyFolder(dataDir);
  const { ring, issuer } = await openRing(folder, publicUrl);
  const expires = Math.floor(Date.now() / 1000) + ttlSeconds;
  const file: ApiKeyFile = {
    id,
    tenant,
    name: name ?? null,
    scopes,
    created_at: new Date().toISOString(),
    expires_at: new Date(expires * 1000).toISOString(),
    kid: ring.kid,
  };
  await folder.writeApiKey(file);
  const claims = {
    iss: issuer,
    jti: id,
    sub: `service:${name ?? id}`,
    tenant_id: tenant,
    scope: scopes.join(" "),
    scopes,
  };
  return { key: await ring.sign(claims, expires), file };
}

export async function listApiKeys(dataDir: string): Promise<readonly ApiKeyFile[]> {
  return (await new KeyFolder(dataDir).read()).apiKeys;
}

/** Ends a key and every token minted with it, within a second on a running server. */
export async function revokeApiKey(dataDir: string, id: string): Promise<ApiKeyFile> {
  const folder = new KeyFolder(dataDir);
  const found = (await folder.read()).apiKeys.find((key) => key.id === id);
  if (found === undefined)
    throw new DaybookError("not_found", `There is no key ${id}. \`daybook keys list\` shows them.`);
  if (found.revoked_at !== undefined) return found;
  const revoked = { ...found, revoked_at: new Date().toISOString() };
  await folder.writeApiKey(revoked);
  return revoked;
}

/**
 * Makes a new signing key. Old ones lose their private half and stay as long as a token they signed can be good;
 * those past that are removed.
 */
export async function rotateKeys(dataDir: string): Promise<{ readonly kid: string }> {
  const folder = new KeyFolder(dataDir);
  const { signing, apiKeys } = await folder.read();
  const kid = await newSigningKey(folder);
  const now = new Date();
  for (const { private_jwk: _dropped, ...old } of signing) {
    const ends = apiKeys.filter((key) => key.kid === old.kid).map(({ expires_at }) => Date.parse(expires_at));
    const sessionTokensEnd = now.getTime() + SESSION_TOKEN_SECONDS_MAX * 1000;
    const keepUntil = old.keep_until ?? new Date(Math.max(sessionTokensEnd, ...ends)).toISOString();
    if (Date.parse(keepUntil) < now.getTime()) await folder.removeSigningKey(old.kid);
    else await folder.writeSigningKey({ ...old, keep_until: keepUntil });
  }
  return { kid };
}

export interface NewSessionToken {
  readonly tenant: string;
  readonly session: string;
  readonly principal: { readonly type: string; readonly id: string };
  readonly scopes?: readonly string[];
  readonly ttlSeconds?: number;
  readonly publicUrl?: string;
}

/**
 * Mints a session token in a data folder, for trying out and scripts. It hangs on no API key, so nothing but its end
 * ends it.
 */
export async function createSessionToken(
  dataDir: string,
  { tenant, session, principal, scopes = SESSION_SCOPES, ttlSeconds, publicUrl }: NewSessionToken,
): Promise<{ readonly token: string; readonly expiresIn: number }> {
  checkTenant(tenant);
  // The same rules as over HTTP.
  const asked = { session_id: session, principal, scopes, ttl_seconds: ttlSeconds };
  const request = readSessionTokenRequest(Buffer.from(JSON.stringify(asked)));
  const { ring, issuer } = await openRing(new KeyFolder(dataDir), publicUrl);
  return mintSessionToken(ring, issuer, request, { tenant });
}

/** The folder's keys, made if there are none, and the URL that new tokens name as their issuer. */
async function openRing(
  folder: KeyFolder,
  publicUrl: string | undefined,
): Promise<{ readonly ring: KeyRing; readonly issuer: string }> {
  await ensureSigningKey(folder);
  const files = await folder.read();
  const issuer = publicUrl ?? files.issuers.at(-1) ?? DEFAULT_URL;
  await folder.addIssuer(issuer);
  return { ring: await KeyRing.load(files), issuer };
}

function checkTenant(tenant: string): void {
  const why = whyNotATenant(tenant);
  if (why !== undefined) throw new DaybookError("invalid_request", `The tenant ${why}.`);
}

function checkNewKey({
  name,
  scopes,
  ttlSeconds,
}: Required<Pick<NewApiKey, "name" | "scopes" | "ttlSeconds">>): void {
  const why = whyNotAPrincipal("service", name);
  if (why !== undefined) throw new DaybookError("invalid_request", `The name ${why}.`);
  if (scopes.length === 0) throw new DaybookError("invalid_request", "A key needs at least one scope.");
  for (const scope of scopes) if (!isScope(scope)) throw unknownScope(scope);
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > TTL_SECONDS_MAX)
    throw new DaybookError(
      "invalid_request",
      "A key must be good for a second at least, and 100 years at most.",
    );
}

function unknownScope(scope: string): DaybookError {
  return new DaybookError("invalid_request", `There is no scope ${scope}. There are ${SCOPES.join(", ")}.`);
}
