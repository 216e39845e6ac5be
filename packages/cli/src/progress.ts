import type { Io } from "./io.js";

/** One line on stderr that rewrites itself; nothing at all when stderr is no terminal. */
export interface Progress {
  show(text: string): void;
  /** Takes the line away again. */
  clear(): void;
}

const REDRAW_EVERY_MS = 100;
const ERASE_LINE = "\r\u001b[2K";

export function progressOn(io: Io): Progress {
  if (io.stderr.isTTY !== true) return { show: () => undefined, clear: () => undefined };
  let drawnAtMs = -Infinity;
  return {
    show(text) {
      const now = io.clock.now();
      if (now - drawnAtMs < REDRAW_EVERY_MS) return;
      drawnAtMs = now;
      io.stderr.write(ERASE_LINE + text);
    },
    clear() {
      if (drawnAtMs > -Infinity) io.stderr.write(ERASE_LINE);
    },
  };
}

const counts = new Intl.NumberFormat("en");

/** 1234567 as 1,234,567. */
export function showCount(count: number): string {
  return counts.format(count);
}

/** Bytes as people read them: `4.2 MiB`. */
export function showBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${bytes} bytes` : `${value.toFixed(1)} ${units[unit] ?? ""}`;
}
