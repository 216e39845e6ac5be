import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { type BrowserContext, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];
const ELSEWHERE = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const INSTALL_MS = 300_000;

/** A browser of its own, with a profile that is new and goes with it. */
export class TestBrowser implements AsyncDisposable {
  private constructor(
    readonly context: BrowserContext,
    private readonly profile: string,
  ) {}

  static async start(
    options: Parameters<typeof chromium.launchPersistentContext>[1] = {},
  ): Promise<TestBrowser> {
    const executablePath = await findChromium();
    const profile = await mkdtemp(join(tmpdir(), "daybook-browser-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      chromiumSandbox: false,
      args: FLAGS,
      ...options,
    });
    return new TestBrowser(context, profile);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The Chrome or Chromium of this machine; where this may install Debian's, it does. */
export async function findChromium(): Promise<string> {
  const found = (await installedChromium()) ?? (await installChromium());
  if (found !== undefined) return found;
  throw new Error(
    "No Chrome or Chromium was found: install one (apt-get install chromium), or say where it is in CHROME_PATH.",
  );
}

async function installedChromium(): Promise<string | undefined> {
  const { CHROME_PATH, PATH = "" } = process.env;
  if (CHROME_PATH !== undefined) return CHROME_PATH;
  const folders = PATH.split(delimiter).filter((folder) => folder !== "");
  const candidates = [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...ELSEWHERE];
  for (const candidate of candidates)
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  return undefined;
}

async function installChromium(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const run = promisify(execFile);
  const options = { timeout: INSTALL_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  try {
    await run("apt-get", ["update", "-q"], options);
    await run("apt-get", ["install", "-qy", "--no-install-recommends", "chromium"], options);
  } catch {
    // No Debian, or no network: it is said what to do.
    return undefined;
  }
  return installedChromium();
}
