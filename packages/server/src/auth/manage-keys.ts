import { randomBytes } from "node:crypto";
import { DaybookError, whyNotAnId } from "@daybook/protocol";
import { type ApiKeyFile, KeyFolder } from "./key-folder.js";
import { ensureSigningKey, KeyRing, newSigningKey } from "./key-ring.js";
import { isScope, SCOPES } from "./scopes.js";
import { mintSessionToken, SESSION_TOKEN_SECONDS_MAX, type SessionTokenRequest } from "./session-tokens.js";

const YEAR_SECONDS = 365 * 24 * 3600;
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
  const why = whyNotAnId(tenant);
  if (why !== undefined) throw new DaybookError("invalid_request", `The tenant ${why}.`);
  for (const scope of scopes) if (!isKnownScope(scope)) throw unknownScope(scope);
  const folder = new KeyFolder(dataDir);
  await ensureSigningKey(folder);
  if (publicUrl !== undefined) await folder.addIssuer(publicUrl);
  const files = await folder.read();
  const issuer = publicUrl ?? files.issuers.at(-1) ?? DEFAULT_URL;
  if (!files.issuers.includes(issuer)) await folder.addIssuer(issuer);
  const ring = await KeyRing.load(files);
  const id = `key_${randomBytes(9).toString("base64url")}`;
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

/** Mints a session token in a data folder, for trying out and scripts. */
export async function createSessionToken(
  dataDir: string,
  request: SessionTokenRequest & { readonly tenant: string; readonly publicUrl?: string },
): Promise<string> {
  const folder = new KeyFolder(dataDir);
  await ensureSigningKey(folder);
  if (request.publicUrl !== undefined) await folder.addIssuer(request.publicUrl);
  const files = await folder.read();
  const issuer = request.publicUrl ?? files.issuers.at(-1) ?? DEFAULT_URL;
  if (!files.issuers.includes(issuer)) await folder.addIssuer(issuer);
  const minted = await mintSessionToken(await KeyRing.load(files), issuer, request, {
    tenant: request.tenant,
  });
  return minted.token;
}

function isKnownScope(scope: string): boolean {
  return isScope(scope) || scope === "state:read" || scope === "state:write";
}

function unknownScope(scope: string): DaybookError {
  return new DaybookError("invalid_request", `There is no scope ${scope}. There are ${SCOPES.join(", ")}.`);
}
