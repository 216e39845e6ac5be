import { performance } from "node:perf_hooks";
import { runAppends } from "./load-append.js";
import { runChat } from "./load-chat.js";
import { HttpConnection, requestHead } from "./load-connection.js";
import { dialectOf } from "./load-dialect.js";
import { fill } from "./load-fill.js";
import { runGrpc } from "./load-grpc.js";
import { Histogram } from "./load-histogram.js";
import { runRequests } from "./load-requests.js";
import { replay, TailCrowd } from "./load-tails.js";
import {
  type Answers,
  type GetTask,
  type Percentiles,
  type SessionSet,
  sessionId,
  type Target,
  type Task,
  type TaskAnswer,
} from "./load-task.js";

/** A process that only makes load: forked by the bench, told what to do over IPC, gone with its parent. */
const CREATORS = 32;
const crowd = new TailCrowd();

process.on("message", (task: Task) => void answer(task));
process.on("disconnect", () => process.exit(0));

async function answer(task: Task): Promise<void> {
  let message: TaskAnswer;
  try {
    message = { answer: await run(task) };
  } catch (error) {
    message = { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.send?.(message);
}

function run(task: Task): Promise<Answers[keyof Answers]> | Answers[keyof Answers] {
  switch (task.kind) {
    case "create":
      return createAll(task.target, task.sessions);
    case "fill":
      return fill(task);
    case "append":
      return runAppends(task);
    case "open_tails":
      return crowd.open(task);
    case "close_tails":
      return crowd.close();
    case "fan_out":
      return crowd.fanOut(task);
    case "replay":
      return replay(task);
    case "get":
      return getAll(task);
    case "requests":
      return runRequests(task);
    case "grpc":
      return runGrpc(task);
    case "chat":
      return runChat(task);
  }
}

async function createAll(target: Target, sessions: SessionSet): Promise<{ created: number }> {
  let next = 0;
  const creator = async (): Promise<void> => {
    const connection = await HttpConnection.open(target);
    while (next < sessions.count) {
      const request = dialectOf(target).createRequest(target, sessionId(sessions, next++));
      const [status] = await ask(connection, request);
      if (status !== 201) throw new Error(`creating a session was answered with ${status}`);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: Math.min(CREATORS, sessions.count) }, creator));
  return { created: sessions.count };
}

async function getAll({ target, path, times }: GetTask): Promise<{ latency: Percentiles; bytes: number }> {
  const connection = await HttpConnection.open(target);
  const request = Buffer.from(`${requestHead(target, `GET ${path}`)}\r\n`);
  const latency = new Histogram();
  let bytes = 0;
  for (let count = 0; count < times; count++) {
    const startedAt = performance.now();
    const [status, bodyBytes] = await ask(connection, request);
    if (status !== 200) throw new Error(`GET ${path} was answered with ${status}`);
    latency.recordMs(performance.now() - startedAt);
    bytes = bodyBytes;
  }
  connection.close();
  return { latency: latency.percentiles(), bytes };
}

function ask(connection: HttpConnection, request: Buffer): Promise<[status: number, bodyBytes: number]> {
  return new Promise((resolve) =>
    connection.send(request, (status, bodyBytes) => resolve([status, bodyBytes])),
  );
}
