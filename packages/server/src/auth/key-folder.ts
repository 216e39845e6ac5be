import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

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

  async read(): Promise<KeyFiles> {
    const names = await readdir(this.path).catch(noneIfAbsent);
    const load = async (prefix: string): Promise<unknown[]> => {
      const matching = names.filter((name) => name.startsWith(prefix) && name.endsWith(".json")).sort();
      return Promise.all(
        matching.map(async (name) => JSON.parse(await readFile(join(this.path, name), "utf8")) as unknown),
      );
    };
    const issuers = (await load("issuers")) as { urls: string[] }[];
    return {
      signing: (await load("signing-")) as SigningKeyFile[],
      apiKeys: (await load("api-")) as ApiKeyFile[],
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
    await mkdir(this.path, { recursive: true, mode: 0o700 });
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

function noneIfAbsent(error: unknown): string[] {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
  throw error;
}
