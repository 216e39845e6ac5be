/** A setting that cannot be, by itself or beside another: the message names it and says what would be right. */
export class WrongSetting extends Error {
  override readonly name = "WrongSetting";
}

/** One thing a user can set: by flag, by environment variable, or left at its default. */
export interface Setting {
  /** The member of `Settings`. */
  readonly name: keyof Settings;
  /** As commander wants it. */
  readonly flag: string;
  readonly env: string;
  readonly description: string;
  readonly default: string | number | boolean | undefined;
  /** What holds when it is left out, where that is no single value. */
  readonly leftOut?: string;
  /** @throws Error with a sentence that says what would be right. */
  readonly parse: (text: string) => unknown;
}

export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly opsPort: number;
  /** Left out: the usual one, if it is free. */
  readonly grpcPort: number | "off" | undefined;
  readonly dataDir: string;
  readonly store: "embedded" | "memory";
  /** Left out: none on loopback, jwt elsewhere. */
  readonly auth: "none" | "jwt" | undefined;
  readonly allowInsecure: boolean;
  readonly publicUrl: string | undefined;
  readonly jwtIssuer: string | undefined;
  readonly jwtAudience: string | undefined;
  readonly jwksUrl: string | undefined;
  readonly rateLimitTenant: number;
  readonly rateLimitAddress: number;
  readonly trustProxy: boolean;
  readonly allowOrigin: readonly string[];
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly segmentBytes: number;
  readonly queueBytesMax: number;
  readonly recentBytesMax: number;
  readonly reserveBytes: number;
  readonly requestSeconds: number;
  readonly drainSeconds: number;
  readonly pingSeconds: number;
  readonly idleSeconds: number;
}

const text = (value: string): string => value;

function number(minimum: number, maximum: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    const good = /^\d+$/.test(value) && parsed >= minimum && parsed <= maximum;
    if (!good)
      throw new Error(`must be a whole number from ${minimum} to ${maximum}, not ${JSON.stringify(value)}.`);
    return parsed;
  };
}

function numberOrOff(minimum: number, maximum: number): (value: string) => number | "off" {
  const parse = number(minimum, maximum);
  return (value) => (value === "off" ? value : parse(value));
}

function oneOf(...choices: readonly string[]): (value: string) => string {
  return (value) => {
    if (!choices.includes(value))
      throw new Error(`must be one of ${choices.join(", ")}, not ${JSON.stringify(value)}.`);
    return value;
  };
}

function yesOrNo(value: string): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new Error(`must be true or false, not ${JSON.stringify(value)}.`);
}

function url(value: string): string {
  if (URL.canParse(value) && /^https?:/.test(value)) return value;
  throw new Error(`must be a URL like https://daybook.example.com, not ${JSON.stringify(value)}.`);
}

/** A URL that paths are put behind. */
function baseUrl(value: string): string {
  return url(value).replace(/\/+$/, "");
}

/** Comma-separated origins, or `*`. */
function origins(value: string): string[] {
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map((item) => {
      if (item === "*") return item;
      const origin = URL.canParse(item) ? new URL(item).origin : "null";
      if (origin === "null")
        throw new Error(`must be origins like https://app.example.com, not ${JSON.stringify(item)}.`);
      return origin;
    });
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const SETTINGS: readonly Setting[] = [
  setting("host", "<address>", "address to listen on; anything but loopback needs auth", "127.0.0.1", text),
  setting("port", "<number>", "HTTP and WebSocket port; 0 takes a free one", 4000, number(0, 65_535)),
  setting(
    "opsPort",
    "<number>",
    "port for health and metrics, always on 127.0.0.1; 0 takes a free one",
    4001,
    number(0, 65_535),
  ),
  setting(
    "grpcPort",
    "<number>",
    "port for gRPC (agents' state); 0 takes a free one, off serves none",
    undefined,
    numberOrOff(0, 65_535),
    "50051, or none if that is taken",
  ),
  setting("dataDir", "<folder>", "where everything is kept", "./daybook-data", text),
  setting(
    "store",
    "<kind>",
    "embedded keeps data on disk; memory forgets everything at the end",
    "embedded",
    oneOf("embedded", "memory"),
  ),
  setting(
    "auth",
    "<mode>",
    "jwt: every call brings a token; none: everybody on this machine may do everything",
    undefined,
    oneOf("none", "jwt"),
    "none on loopback, jwt elsewhere",
  ),
  setting("allowInsecure", "", "let --auth none listen beyond this machine", false, yesOrNo),
  setting(
    "publicUrl",
    "<url>",
    "the URL clients know this server by; its API keys name it",
    undefined,
    baseUrl,
    "where it listens",
  ),
  setting(
    "jwtIssuer",
    "<issuer>",
    "also accept tokens of this issuer (with --jwt-audience and --jwks-url)",
    undefined,
    text,
  ),
  setting("jwtAudience", "<audience>", "the audience those tokens must name", undefined, text),
  setting("jwksUrl", "<url>", "where that issuer's public keys are", undefined, url),
  setting(
    "rateLimitTenant",
    "<per-second>",
    "requests a second of one tenant before it gets 429; 0 for no limit",
    0,
    number(0, 1_000_000),
  ),
  setting(
    "rateLimitAddress",
    "<per-second>",
    "requests a second from one address before it gets 429; 0 for no limit",
    0,
    number(0, 1_000_000),
  ),
  setting(
    "trustProxy",
    "",
    "take the caller's address from the last entry of X-Forwarded-For",
    false,
    yesOrNo,
  ),
  setting("allowOrigin", "<origins>", "web origins whose pages may call, comma-separated, or *", "", origins),
  setting(
    "logLevel",
    "<level>",
    "how much is logged",
    "info",
    oneOf("trace", "debug", "info", "warn", "error", "silent"),
  ),
  setting("eventBytesMax", "<bytes>", "largest event", MIB, number(1024, 64 * MIB)),
  setting("batchEventsMax", "<count>", "most events in one append", 1_000, number(1, 10_000)),
  setting("batchBytesMax", "<bytes>", "largest body of one append", 8 * MIB, number(1024, 256 * MIB)),
  setting(
    "segmentBytes",
    "<bytes>",
    "a log file is sealed once it is this long",
    64 * MIB,
    number(MIB, 4 * GIB),
  ),
  setting(
    "queueBytesMax",
    "<bytes>",
    "appends waiting for the disk before they get 429",
    32 * MIB,
    number(MIB, 4 * GIB),
  ),
  setting(
    "recentBytesMax",
    "<bytes>",
    "recent events kept in memory for tails",
    64 * MIB,
    number(MIB, 64 * GIB),
  ),
  setting(
    "reserveBytes",
    "<bytes>",
    "appends are refused when less than this is free on disk",
    256 * MIB,
    number(0, 1024 * GIB),
  ),
  setting(
    "requestSeconds",
    "<seconds>",
    "how long a request's headers and body may take to arrive",
    30,
    number(1, 3_600),
  ),
  setting("drainSeconds", "<seconds>", "how long a stop waits for unfinished requests", 5, number(0, 600)),
  setting(
    "pingSeconds",
    "<seconds>",
    "how often idle sockets are asked whether they live",
    25,
    number(1, 600),
  ),
  setting(
    "idleSeconds",
    "<seconds>",
    "a session not used for so long is told as frozen on the lifecycle channel",
    600,
    number(1, 86_400),
  ),
];

function setting(
  name: keyof Settings,
  value: string,
  description: string,
  defaultValue: Setting["default"],
  parse: (text: string) => unknown,
  leftOut?: string,
): Setting {
  const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    name,
    flag: value === "" ? `--${words}` : `--${words} ${value}`,
    env: `DAYBOOK_${words.replaceAll("-", "_").toUpperCase()}`,
    description,
    default: defaultValue,
    ...(leftOut !== undefined && { leftOut }),
    parse,
  };
}

/**
 * Settings from flags (by camelCase name, as text or already parsed), then the environment, then the defaults. A
 * variable that is set to nothing counts as not set: that is what `${PORT:-}` in a compose file makes of one.
 * @throws WrongSetting naming the flag or variable.
 */
export function readSettings(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const settings: Record<string, unknown> = {};
  for (const { name, flag, env: variable, parse, default: defaultValue } of SETTINGS) {
    const fromEnv = env[variable] === "" ? undefined : env[variable];
    const given = flags[name] ?? fromEnv ?? defaultValue;
    const place =
      flags[name] === undefined && fromEnv !== undefined ? variable : (flag.split(" ")[0] ?? flag);
    try {
      // A value that was parsed before is taken as it is.
      settings[name] = typeof given === "string" ? parse(given) : given;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new WrongSetting(`${place} ${why}`, { cause: error });
    }
  }
  // Every member of Settings has its line in SETTINGS.
  return settings as unknown as Settings;
}
