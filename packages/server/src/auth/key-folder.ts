import { randomBytes } from "node:crypto";
import { open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "@daybook/engine";

/** A signing key. Once retired only its public half is left, to verify what it signed. */
export interface SigningKeyFile {
  readonly kid: string;
  readonly created_at: string;
  readonly public_jwk: Record<string, unknown>;
  readonly private_jwk?: Record<string, unknown>;
  /** Set at rotation: the last moment at which a token it signed can still be good. */
  readonly keep_until?: string;
}

/** What is known of an API key. The key itself is shown once and kept nowhere. */
export interface ApiKeyFile {
  readonly id: string;
  readonly tenant: string;
  readonly name: string | null;
  readonly scopes: readonly string[];
  readonly created_at: string;
  readonly expires_at: string;
  readonly kid: string;
  readonly revoked_at?: string;
}

export interface KeyFiles {
  readonly signing: readonly SigningKeyFile[];
  readonly apiKeys: readonly ApiKeyFile[];
  /** URLs under which this server was known; tokens that name any of them as issuer are its own. */
  readonly issuers: readonly string[];
}

/** A file that should hold a key and does not. */
export class KeyFileDamaged extends Error {
  override readonly name = "KeyFileDamaged";

  constructor(path: string, cause?: unknown) {
    super(
      `${path} is not what it was written as. Restore it, or remove it: what it stood for is lost then.`,
      {
        cause,
      },
    );
  }
}

/** FAT counts in two seconds, the others in milliseconds. */
const CLOCK_GRAIN_MS = 2_500;

/**
 * The keys of a data folder, one small file each, outside the folder lock: keys are made and revoked while a server
 * runs. Every change is a new file renamed into place and synced, so a reader sees the old one or the new one whole.
 */
export class KeyFolder {
  readonly path: string;

  constructor(dataDir: string) {
    this.path = join(dataDir, "keys");
  }

  /** @throws KeyFileDamaged naming the file; Error when the folder cannot be read */
  async read(): Promise<KeyFiles> {
    const names = await readdir(this.path).catch(noneIfAbsent);
    const load = <File>(prefix: string, isOne: (value: Partial<File>) => boolean): Promise<File[]> => {
      const matching = names.filter((name) => name.startsWith(prefix) && name.endsWith(".json")).sort();
      return Promise.all(matching.map((name) => readJson(join(this.path, name), isOne)));
    };
    const issuers = await load<IssuersFile>("issuers", ({ urls }) => isTexts(urls));
    return {
      signing: await load<SigningKeyFile>(
        "signing-",
        ({ kid, public_jwk: jwk }) => isText(kid) && typeof jwk === "object",
      ),
      apiKeys: await load<ApiKeyFile>("api-", ({ id, tenant, scopes, expires_at: end }) =>
        [[id, tenant, end].every(isText), isTexts(scopes)].every(Boolean),
      ),
      issuers: issuers.flatMap(({ urls }) => urls),
    };
  }

  /**
   * Changes whenever a file was added, replaced or removed. Undefined shortly after a change: a second one within the
   * grain of the file system's clock would leave no trace in the folder's time.
   */
  async version(): Promise<string | undefined> {
    const { mtimeNs, mtimeMs } = await stat(this.path, { bigint: true });
    return Math.abs(Date.now() - Number(mtimeMs)) < CLOCK_GRAIN_MS ? undefined : `${mtimeNs}`;
  }

  writeSigningKey(key: SigningKeyFile): Promise<void> {
    return this.write(`signing-${key.kid}.json`, key);
  }

  removeSigningKey(kid: string): Promise<void> {
    return rm(join(this.path, `signing-${kid}.json`), { force: true });
  }

  writeApiKey(key: ApiKeyFile): Promise<void> {
    return this.write(`api-${key.id}.json`, key);
  }

  /** Remembers a URL as ours, the newest last. */
  async addIssuer(url: string): Promise<void> {
    const { issuers } = await this.read();
    if (issuers.at(-1) === url) return;
    await this.write("issuers.json", { urls: [...issuers.filter((known) => known !== url), url] });
  }

  private async write(name: string, value: unknown): Promise<void> {
    await makeFolder(this.path);
    const temporary = join(this.path, `.${name}.${randomBytes(6).toString("hex")}`);
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.path, name));
    const folder = await open(this.path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

interface IssuersFile {
  readonly urls: readonly string[];
}

const isText = (value: unknown): boolean => typeof value === "string";
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

async function readJson<File>(path: string, isOne: (value: Partial<File>) => boolean): Promise<File> {
  const text = await readFile(path, "utf8");
  try {
    const value = JSON.parse(text) as Partial<File> | null;
    if (value !== null && isOne(value)) return value as File;
  } catch (cause) {
    throw new KeyFileDamaged(path, cause);
  }
  throw new KeyFileDamaged(path);
}

function noneIfAbsent(error: unknown): string[] {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
  throw error;
}
