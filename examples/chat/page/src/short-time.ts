const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** Today the time, else the day. */
export function shortTime(rfc3339: string): string {
  const date = new Date(rfc3339);
  return date.toDateString() === new Date().toDateString() ? TIME.format(date) : DAY.format(date);
}
