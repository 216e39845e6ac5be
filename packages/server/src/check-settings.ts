import { isLoopback } from "./http/origin-guard.js";
import { type Settings, WrongSetting } from "./settings.js";

/** Auth is on unless only this machine can call. */
export function authOf({ auth, host }: Settings): "none" | "jwt" {
  return auth ?? (isLoopback(host) ? "none" : "jwt");
}

/** Looks at settings that are each right by themselves. @throws WrongSetting when they cannot be together. */
export function checkSettings(settings: Settings): void {
  const { host, allowInsecure, jwtIssuer, jwtAudience, jwksUrl } = settings;
  if (authOf(settings) === "none" && !isLoopback(host) && !allowInsecure) {
    throw new WrongSetting(
      `--auth none listens on this machine only, not on ${host}. Use --auth jwt, or, if everybody who can reach this ` +
        "address may do everything, --allow-insecure.",
    );
  }
  const outside = [jwtIssuer, jwtAudience, jwksUrl].filter((setting) => setting !== undefined);
  if (outside.length > 0 && outside.length < 3)
    throw new WrongSetting("--jwt-issuer, --jwt-audience and --jwks-url go together.");
}
