import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ClientReadableStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

export const PROTO = fileURLToPath(
  new URL("../../../packages/server/proto/statehouse/v1/statehouse.proto", import.meta.url),
);

/** `google.protobuf.Struct` as proto-loader has it. */
export interface StructMessage {
  readonly fields: Record<string, ValueMessage>;
}

export type ValueMessage = Record<string, unknown>;

/** A struct of a JSON object, by hand: this client owes nothing to the server's code. */
export function struct(object: object): StructMessage {
  return { fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, valueOf(value)])) };
}

function valueOf(value: unknown): ValueMessage {
  if (value === null) return { nullValue: "NULL_VALUE" };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(valueOf) } };
  return { structValue: struct(value as object) };
}

export function plain(message: StructMessage | undefined): unknown {
  if (message === undefined) return undefined;
  return Object.fromEntries(Object.entries(message.fields).map(([key, value]) => [key, plainValue(value)]));
}

function plainValue(value: ValueMessage): unknown {
  if ("nullValue" in value) return null;
  if ("structValue" in value) return plain(value["structValue"] as StructMessage);
  if ("listValue" in value)
    return (value["listValue"] as { values: ValueMessage[] }).values.map((item) => plainValue(item));
  return value["numberValue"] ?? value["stringValue"] ?? value["boolValue"];
}

export interface Answer {
  readonly status: string;
  readonly version: string;
  readonly txnId: string;
  readonly commitTs: string;
  readonly exists: boolean;
  readonly value?: StructMessage;
  readonly keys: string[];
  readonly entries: { key: string; value: StructMessage; version: string; commitTs: string }[];
  readonly operations: { key: string; value?: StructMessage; version: string }[];
}

type Unary = (
  request: object,
  metadata: Metadata,
  options: object,
  callback: (error: ServiceError | null, answer: Answer) => void,
) => unknown;
type Stream = (request: object, metadata: Metadata, options?: object) => ClientReadableStream<Answer>;

/** The service as an independent client calls it: @grpc/grpc-js with the .proto file. */
export class StatehouseClient implements Disposable {
  private readonly client: grpc.Client & Record<string, Unary | Stream>;

  constructor(
    address: string,
    private readonly token?: string,
    options: grpc.ClientOptions = {},
  ) {
    const definition = loadSync(PROTO, { longs: String, enums: String, defaults: true });
    const loaded = grpc.loadPackageDefinition(definition) as unknown as {
      statehouse: { v1: { StatehouseService: grpc.ServiceClientConstructor } };
    };
    const Service = loaded.statehouse.v1.StatehouseService;
    this.client = new Service(address, credentials.createInsecure(), options) as never;
  }

  call(rpc: string, request: object = {}, options: { deadline?: number } = {}): Promise<Answer> {
    const deadline = options.deadline === undefined ? {} : { deadline: Date.now() + options.deadline };
    return new Promise((resolve, reject) => {
      (this.client[rpc] as Unary).call(this.client, request, this.metadata(), deadline, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      });
    });
  }

  replay(request: object, options: object = {}): ClientReadableStream<Answer> {
    return (this.client["replay"] as Stream).call(this.client, request, this.metadata(), options);
  }

  /** All of a replay. */
  async replayAll(request: object): Promise<Answer[]> {
    const events: Answer[] = [];
    for await (const event of this.replay(request)) events.push(event as Answer);
    return events;
  }

  async begin(timeoutMs?: number): Promise<string> {
    return (await this.call("beginTransaction", timeoutMs === undefined ? {} : { timeoutMs })).txnId;
  }

  /** Begins, writes (undefined: deletes) and commits; answers the commit_ts. */
  async commit(
    operations: readonly (readonly [key: string, value: object | undefined])[],
    { agentId = "agent", namespace = "" } = {},
  ): Promise<number> {
    const txnId = await this.begin();
    for (const [key, value] of operations) {
      const target = { txnId, namespace, agentId, key };
      if (value === undefined) await this.call("delete", target);
      else await this.call("write", { ...target, value: struct(value) });
    }
    return Number((await this.call("commit", { txnId })).commitTs);
  }

  [Symbol.dispose](): void {
    this.client.close();
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    if (this.token !== undefined) metadata.set("authorization", `Bearer ${this.token}`);
    return metadata;
  }
}

/** A call with whatever bytes for its message. */
export function rawUnary(address: string, rpc: string, message: Buffer): Promise<Buffer> {
  const client = new grpc.Client(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise<Buffer>((resolve, reject) => {
    const path = `/statehouse.v1.StatehouseService/${rpc}`;
    client.makeUnaryRequest(path, same, same, message, (error, answer) => {
      if (error === null) resolve(answer ?? Buffer.alloc(0));
      else reject(error);
    });
  }).finally(() => client.close());
}

/** The service's rpcs, as the .proto file names them. */
export function rpcsOf(): string[] {
  return [...readFileSync(PROTO, "utf8").matchAll(/^ {2}rpc (\w+)/gm)].map(([, name = ""]) => name);
}

/** The status name of a refusal, and our own code behind a colon. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    const { code, metadata } = error as ServiceError;
    const own = metadata.get("daybook-error")[0];
    return status[code] + (own === undefined ? "" : `:${String(own)}`);
  }
}
