/** What the process says when it ends. `daybook --help` lists them. */
export const EXIT = {
  ok: 0,
  /** Damage was found, an input line was bad, a file could not be written. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was tried. */
  usage: 2,
  /** The server said no (4xx). */
  refused: 3,
  /** The server did not answer, or answered 429 or 5xx, until patience ended. */
  unreachable: 4,
  /** As shells do it: 128 + the signal's number. */
  interrupted: 130,
} as const;
