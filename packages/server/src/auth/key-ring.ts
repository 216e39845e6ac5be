import { randomBytes } from "node:crypto";
import {
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
  type CryptoKey,
  type JWK,
} from "jose";
import type { KeyFiles, KeyFolder, SigningKeyFile } from "./key-folder.js";

/** One kind of signature, pinned: nothing a token says chooses how it is verified. */
const ALGORITHM = "EdDSA";
export const AUDIENCE = "daybook";
export const LEEWAY_SECONDS = 1;

interface VerifyingKey {
  readonly key: CryptoKey;
  readonly publicJwk: JWK;
}

/** Our own keys as they stand in memory: who signed what, and which API keys still count. */
export class KeyRing {
  private constructor(
    private readonly verifying: ReadonlyMap<string, VerifyingKey>,
    private readonly signer: { readonly kid: string; readonly key: CryptoKey },
    private readonly issuers: ReadonlySet<string>,
    /** API key id → does it still count? */
    private readonly apiKeys: ReadonlyMap<string, boolean>,
  ) {}

  static async load(files: KeyFiles): Promise<KeyRing> {
    const verifying = new Map<string, VerifyingKey>();
    let newest: SigningKeyFile | undefined;
    for (const file of files.signing) {
      const key = await imported(file.public_jwk, file.kid);
      verifying.set(file.kid, { key, publicJwk: file.public_jwk });
      const signs = file.private_jwk !== undefined;
      if (signs && (newest === undefined || file.created_at > newest.created_at)) newest = file;
    }
    if (newest?.private_jwk === undefined) throw new Error("There is no signing key in the keys folder.");
    const signer = { kid: newest.kid, key: await imported(newest.private_jwk, newest.kid) };
    const apiKeys = new Map(files.apiKeys.map((key) => [key.id, key.revoked_at === undefined]));
    return new KeyRing(verifying, signer, new Set(files.issuers), apiKeys);
  }

  get kid(): string {
    return this.signer.kid;
  }

  has(kid: string): boolean {
    return this.verifying.has(kid);
  }

  knows(apiKeyId: string): boolean {
    return this.apiKeys.has(apiKeyId);
  }

  /** A key whose file is gone counts no more either. */
  isRevoked(apiKeyId: string): boolean {
    return this.apiKeys.get(apiKeyId) !== true;
  }

  /** What `/.well-known/jwks.json` answers. */
  get publicKeys(): { keys: JWK[] } {
    const keys = [...this.verifying].map(([kid, { publicJwk }]) => ({
      ...publicJwk,
      kid,
      alg: ALGORITHM,
      use: "sig",
    }));
    return { keys };
  }

  sign(claims: JWTPayload, expiresAtSeconds: number): Promise<string> {
    return new SignJWT(claims)
      .setProtectedHeader({ alg: ALGORITHM, kid: this.signer.kid, typ: "JWT" })
      .setIssuedAt()
      .setAudience(AUDIENCE)
      .setExpirationTime(expiresAtSeconds)
      .sign(this.signer.key);
  }

  /** Verifies a token of ours. @throws JOSEError */
  async verify(token: string, kid: string): Promise<JWTPayload> {
    const known = this.verifying.get(kid);
    if (known === undefined) throw new Error(`no key ${kid}`);
    const { payload } = await jwtVerify(token, known.key, {
      algorithms: [ALGORITHM],
      audience: AUDIENCE,
      issuer: [...this.issuers],
      clockTolerance: LEEWAY_SECONDS,
      requiredClaims: ["exp", "sub", "iss"],
    });
    return payload;
  }
}

async function imported(jwk: JWK, kid: string): Promise<CryptoKey> {
  try {
    return (await importJWK(jwk, ALGORITHM)) as CryptoKey;
  } catch (cause) {
    throw new Error(`The signing key ${kid} in the keys folder is no ${ALGORITHM} key.`, { cause });
  }
}

/** Makes the first signing key if there is none. */
export async function ensureSigningKey(folder: KeyFolder): Promise<void> {
  const { signing } = await folder.read();
  if (!signing.some(({ private_jwk }) => private_jwk !== undefined)) await newSigningKey(folder);
}

export async function newSigningKey(folder: KeyFolder): Promise<string> {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { crv: "Ed25519", extractable: true });
  const kid = randomBytes(9).toString("base64url");
  await folder.writeSigningKey({
    kid,
    created_at: new Date().toISOString(),
    public_jwk: { ...(await exportJWK(publicKey)) },
    private_jwk: { ...(await exportJWK(privateKey)) },
  });
  return kid;
}
