import { randomUUID } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createApiKey, type NewApiKey, type Settings } from "@daybook/server";
import { Api, type CallAnswer, newDataDir, startServer, type TestServer } from "@daybook/test-kit";
import { importJWK, type JWK, SignJWT } from "jose";

export const ALL_SCOPES = ["session:create", "session:read", "session:append", "state:read", "state:write"];

/** Calls with one token. */
export class TokenApi extends Api {
  constructor(
    url: string,
    readonly token: string,
  ) {
    super(url);
  }

  override call(
    method: string,
    path: string,
    body?: unknown,
    options: { readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
  ): Promise<CallAnswer> {
    const headers = { authorization: `Bearer ${this.token}`, ...options.headers };
    return super.call(method, path, body, { ...options, headers });
  }
}

export interface SigningKey {
  readonly kid: string;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

/** What a token says beside what every one here says. `undefined` takes a claim out. */
export type Claims = Record<string, unknown>;

/** A server that asks for tokens, and the means to make good and bad ones. */
export class AuthServer implements AsyncDisposable {
  private constructor(
    readonly server: TestServer,
    readonly signing: SigningKey,
    private readonly ownsFolder: boolean,
  ) {}

  static async start(
    settings: Partial<Settings> = {},
    { store = "memory", dataDir }: { store?: Settings["store"]; dataDir?: string } = {},
  ): Promise<AuthServer> {
    const folder = dataDir ?? (await newDataDir());
    const server = await startServer({ store, dataDir: folder, settings: { auth: "jwt", ...settings } });
    return new AuthServer(server, await signingKeyOf(folder), dataDir === undefined);
  }

  get url(): string {
    return this.server.url;
  }

  get opsUrl(): string {
    return this.server.opsUrl;
  }

  get dataDir(): string {
    return this.server.dataDir;
  }

  async key(more: Partial<NewApiKey> = {}): Promise<{ readonly key: string; readonly id: string }> {
    const { key, file } = await createApiKey(this.dataDir, { tenant: "acme", ...more });
    return { key, id: file.id };
  }

  as(token: string): TokenApi {
    return new TokenApi(this.url, token);
  }

  /** A service of the tenant that may do everything. */
  async service(tenant = "acme"): Promise<TokenApi> {
    return this.as(await this.token({ tenant_id: tenant }));
  }

  /** A token signed with the server's own key. Without claims: a service of acme with all scopes, for ten minutes. */
  token(claims: Claims = {}, { kid = this.signing.kid }: { kid?: string | undefined } = {}): Promise<string> {
    return signToken(this.signing, this.claims(claims), { kid, alg: "EdDSA" });
  }

  claims(more: Claims = {}): Claims {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: this.url,
      aud: "daybook",
      iat: now,
      exp: now + 600,
      tenant_id: "acme",
      sub: "service:backend",
      scope: ALL_SCOPES.join(" "),
      ...more,
    };
  }

  /** What the token endpoint makes of a key. */
  async mint(
    key: string,
    session: string,
    { as = "agent:drafter", scopes = ["session:read", "session:append"], ttl = 60 } = {},
  ): Promise<string> {
    const [type = "", ...id] = as.split(":");
    const { status, json, text } = await this.as(key).call("POST", "/api/v1/session-tokens", {
      session_id: session,
      principal: { type, id: id.join(":") },
      scopes,
      ttl_seconds: ttl,
    });
    if (status !== 200) throw new Error(`the token endpoint answered ${status}: ${text}`);
    return (json as unknown as { token: string }).token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    if (this.ownsFolder) await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Signs whatever it is given. */
export async function signToken(
  { privateJwk }: Pick<SigningKey, "privateJwk">,
  claims: Claims,
  header: { readonly kid?: string | undefined; readonly alg: string },
): Promise<string> {
  const { kid, alg } = header;
  return new SignJWT(claims)
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .sign(await importJWK(privateJwk, alg));
}

/** A token put together by hand, for what no library would sign. */
export function forgedToken(header: object, claims: Claims, signature = ""): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

export async function signingKeyOf(dataDir: string): Promise<SigningKey> {
  const folder = join(dataDir, "keys");
  for (const name of await readdir(folder)) {
    if (!name.startsWith("signing-")) continue;
    const file = JSON.parse(await readFile(join(folder, name), "utf8")) as {
      kid: string;
      public_jwk: JWK;
      private_jwk?: JWK;
    };
    if (file.private_jwk !== undefined)
      return { kid: file.kid, publicJwk: file.public_jwk, privateJwk: file.private_jwk };
  }
  throw new Error(`there is no signing key in ${folder}`);
}

/** An id that no other test uses. */
export const newId = (prefix = "s"): string => `${prefix}-${randomUUID()}`;
