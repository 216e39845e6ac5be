/** One number of a server's metrics, by its name and labels as they stand there; 0 if it is not there yet. */
export async function metric(opsUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

export const openTails = (opsUrl: string, kind: "websocket" | "sse" | "poll" | "channel"): Promise<number> =>
  metric(opsUrl, `daybook_open_tails{kind="${kind}"}`);
