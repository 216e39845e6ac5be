import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** Node's flags for a program that writes a CPU profile of its main thread when it ends by itself. */
export function profileFlags(folder: string | undefined): string[] {
  return folder === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", folder];
}

/** What of a profile is read here. Times are microseconds of the machine's clock that only rises, `process.hrtime`'s. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The one profile in a folder, which is gone then: the next one is found as easily. */
export async function takeProfile(folder: string): Promise<CpuProfile> {
  const [name, ...more] = (await readdir(folder)).filter((file) => file.endsWith(".cpuprofile"));
  if (name === undefined || more.length > 0)
    throw new Error(`one profile was expected in ${folder}, not ${name === undefined ? 0 : more.length + 1}`);
  const profile = JSON.parse(await readFile(join(folder, name), "utf8")) as CpuProfile;
  await rm(join(folder, name));
  return profile;
}

/** What a server's JavaScript thread is busy with. */
export type Part = "sockets" | "http" | "framework" | "own" | "store" | "memory" | "rest";
export type PartTimes = Readonly<Record<Part, number>>;

/** Microseconds the thread was busy with each part between two moments, by the same clock. Idle time is none of them. */
export function partTimes(profile: CpuProfile, from: number, to: number): PartTimes {
  const times: Record<Part, number> = {
    sockets: 0,
    http: 0,
    framework: 0,
    own: 0,
    store: 0,
    memory: 0,
    rest: 0,
  };
  const parts = partsOfNodes(profile);
  let at = profile.startTime;
  for (const [index, sample] of profile.samples.entries()) {
    at += profile.timeDeltas[index] ?? 0;
    // A sample speaks for the time until the next one.
    const part = parts.get(sample);
    if (part !== undefined && at >= from && at < to) times[part] += profile.timeDeltas[index + 1] ?? 0;
  }
  return times;
}

/** The part of each node of the call tree; idle ones are in none. */
function partsOfNodes({ nodes }: CpuProfile): Map<number, Part> {
  const parents = new Map<number, Node>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const parts = new Map<number, Part>();
  for (const node of nodes) {
    const stack: Frame[] = [];
    for (let one: Node | undefined = node; one !== undefined; one = parents.get(one.id))
      stack.push(one.callFrame);
    const part = partOf(stack);
    if (part !== undefined) parts.set(node.id, part);
  }
  return parts;
}

type Node = CpuProfile["nodes"][number];
type Frame = Node["callFrame"];

/** Whose code a file is. Node's own modules that everybody calls (buffers, events, timers …) are nobody's. */
const OWNERS: readonly (readonly [RegExp, Part])[] = [
  [/\/packages\/(engine|engine-embedded|views)\/|\/node_modules\/(lmdb|msgpackr|ordered-binary)\//, "store"],
  [/\/contenders\/\w+-store\.js$/, "store"],
  [/\/node_modules\/(ioredis|@ioredis|standard-as-callback|postgres|@nats-io)\//, "store"],
  [/\/node_modules\/@durable-streams\//, "own"],
  [/\/packages\/|\/bench\//, "own"],
  [/\/node_modules\//, "framework"],
  [/^node:(_http|net$|http$|stream|internal\/(http|net|stream|streams\/))/, "http"],
];
const SOCKET_CALL = /^(writev|write(Utf8|Latin1|Ascii|Ucs2)String|writeBuffer|shutdown|readStart|readStop)$/;

/** From the leaf up: a function without an owner works for whoever called it. */
function partOf(stack: readonly Frame[]): Part | undefined {
  const [leaf] = stack;
  if (leaf === undefined || leaf.functionName === "(idle)") return undefined;
  if (leaf.functionName === "(garbage collector)") return "memory";
  const owners = stack.flatMap(({ url }) => OWNERS.find(([pattern]) => pattern.test(url))?.[1] ?? []);
  const [owner = "rest"] = owners;
  if (owner !== "http") return owner;
  // Sockets are used for somebody: a database's client has its own.
  if (owners.find((one) => one !== "http") === "store") return "store";
  return SOCKET_CALL.test(leaf.functionName) ? "sockets" : "http";
}
