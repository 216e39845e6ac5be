import { resolve } from "node:path";
import type { AddressInfo } from "node:net";
import type { Server as HttpServer } from "node:http";
import {
  type EmbeddedEngine,
  type EngineEvents,
  openEngine,
  openMemoryEngine,
} from "@daybook/engine-embedded";
import { pino, type Logger } from "pino";
import { joinConversation } from "./dialects/conversation-channel.js";
import { joinLifecycle } from "./dialects/lifecycle-channel.js";
import { PhoenixSockets, SOCKET_PATHS, type TopicKind } from "./dialects/phoenix-sockets.js";
import { RawTails } from "./dialects/raw-tail.js";
import { joinTail } from "./dialects/tail-channel.js";
import { SocketPings } from "./dialects/socket-pings.js";
import { type OpenedKeys, openKeys } from "./auth/open-keys.js";
import { Gate } from "./http/access.js";
import { RateLimit } from "./http/rate-limit.js";
import { DrainList } from "./http/drain.js";
import type { OriginPolicy } from "./http/origin-guard.js";
import { ignoreUpgrade } from "./http/ignore-upgrade.js";
import { refuseSocket } from "./http/refuse-socket.js";
import { Metrics } from "./metrics.js";
import { OpsListener } from "./ops.js";
import { buildApp, VERSION } from "./app.js";
import { authOf, checkSettings } from "./check-settings.js";
import { statehouseRpcs } from "./dialects/statehouse-rpcs.js";
import { GrpcListener } from "./grpc.js";
import { RpcDoor } from "./http/rpc-door.js";
import { AgentState } from "./service/agent-state.js";
import { StagedTransactions } from "./service/staged-transactions.js";
import { IDLE_TICKS } from "./service/activity.js";
import { SessionService } from "./service/session-service.js";
import type { Settings } from "./settings.js";
import { DaybookError } from "@daybook/protocol";

export interface RunningServer {
  readonly url: string;
  /** By which clients know it: keys and tokens name it as their issuer. */
  readonly publicUrl: string;
  readonly opsUrl: string;
  /** Where gRPC is served, as HOST:PORT; undefined when it is off. */
  readonly grpcAddress: string | undefined;
  /** Undefined when nothing is kept on disk. */
  readonly dataDir: string | undefined;
  readonly auth: "none" | "jwt";
  /** Resolves with the exit code once the server has stopped, for whatever reason. */
  readonly closed: Promise<number>;
  /** Drains and stops. */
  close(): Promise<void>;
}

const USUAL_GRPC_PORT = 50_051;
/** What a stop may take beside waiting for requests; it is cut short then. */
const STOP_MS_MAX = 5_000;
/** How often connections that became idle are closed while draining. */
const SWEEP_MS = 20;

/**
 * Starts a server.
 * @throws WrongSetting; StoreRefused when the data folder cannot be opened; Error when a port cannot be had.
 */
export async function serve(
  settings: Settings,
  options: { readonly logger?: Logger } = {},
): Promise<RunningServer> {
  checkSettings(settings);
  const logger = options.logger ?? pino({ level: settings.logLevel, base: null });
  const server = new Serving(settings, logger);
  await server.start();
  return server;
}

class Serving implements RunningServer {
  url = "";
  publicUrl = "";
  opsUrl = "";
  grpcAddress: string | undefined;
  readonly dataDir: string | undefined;
  readonly auth: "none" | "jwt";
  readonly closed: Promise<number>;
  private resolveClosed: (exitCode: number) => void = () => undefined;
  private readonly drains = new DrainList();
  private readonly pings: SocketPings;
  private engine: EmbeddedEngine | undefined;
  private metrics: Metrics | undefined;
  private ops: OpsListener | undefined;
  private http: HttpServer | undefined;
  private grpc: GrpcListener | undefined;
  private readonly transactions = new StagedTransactions();
  private keys: OpenedKeys | undefined;
  private idle: NodeJS.Timeout | undefined;
  private exitCode = 0;
  private stopping: Promise<void> | undefined;

  constructor(
    private readonly settings: Settings,
    private readonly logger: Logger,
  ) {
    this.dataDir = settings.store === "embedded" ? resolve(settings.dataDir) : undefined;
    this.auth = authOf(settings);
    this.closed = new Promise((resolveClosed) => (this.resolveClosed = resolveClosed));
    this.pings = new SocketPings(settings.pingSeconds);
  }

  async start(): Promise<void> {
    this.metrics = new Metrics({
      viewLagBytes: () => this.engine?.viewLagBytes ?? 0,
      queueBytes: () => this.engine?.queueBytes ?? 0,
      openLogs: () => this.engine?.openLogs ?? 0,
      erasuresPending: () => this.engine?.erasuresPending ?? 0,
      openTransactions: () => this.transactions.openCount,
      stagedBytes: () => this.transactions.bytes,
    });
    this.engine = await this.openStore(this.metrics);
    try {
      this.ops = new OpsListener(this.metrics, () => this.isReady);
      this.opsUrl = await this.ops.listen(this.settings.opsPort);
      this.url = await this.listen(this.engine, this.metrics);
    } catch (error) {
      await this.closeHttp();
      await this.ops?.close().catch(() => undefined);
      await this.keys?.close();
      await this.engine.close();
      this.pings.close();
      clearInterval(this.idle);
      throw error;
    }
  }

  close(): Promise<void> {
    this.stopping ??= this.stop();
    return this.stopping;
  }

  private get isReady(): boolean {
    return this.url !== "" && !this.drains.draining;
  }

  private openStore(metrics: Metrics): Promise<EmbeddedEngine> {
    const { segmentBytes, queueBytesMax, recentBytesMax, reserveBytes } = this.settings;
    const options = {
      settings: { segmentBytes, queueBytesMax, recentBytesMax, reserveBytes },
      events: this.engineEvents(metrics),
    };
    return this.dataDir === undefined ? openMemoryEngine(options) : openEngine(this.dataDir, options);
  }

  private engineEvents(metrics: Metrics): EngineEvents {
    return {
      batchDurable: ({ commits, events, bytes, syncMs }) => {
        metrics.events.inc(events);
        metrics.bytes.inc(bytes);
        metrics.batchCommits.observe(commits);
        metrics.syncSeconds.observe(syncMs / 1000);
      },
      viewsWritten: ({ ms }) => metrics.viewWriteSeconds.observe(ms / 1000),
      log: (message, details) => this.logger.info(details ?? {}, message),
      fatal: (error) => {
        this.logger.fatal({ err: error }, "the store cannot go on; the next start recovers from disk");
        this.exitCode = 70;
        void this.close();
      },
    };
  }

  private async listen(engine: EmbeddedEngine, metrics: Metrics): Promise<string> {
    const { settings, drains, logger } = this;
    const service = new SessionService(engine);
    this.idle = setInterval(() => service.activity.tick(), (settings.idleSeconds * 1000) / IDLE_TICKS);
    this.idle.unref();
    const { auth } = this;
    const origins = originPolicy(settings, auth);
    this.keys = await openKeys(settings, auth, logger);
    const { authenticator } = this.keys;
    const gate = new Gate(
      authenticator,
      {
        tenant: new RateLimit(settings.rateLimitTenant, "tenant"),
        address: new RateLimit(settings.rateLimitAddress, "address"),
      },
      settings.trustProxy,
    );
    const state = new AgentState(engine, (result) => metrics.commits.inc({ result }));
    const rpcs = statehouseRpcs({
      ...{ state, transactions: this.transactions, authenticator, metrics, logger },
      version: VERSION,
    });
    const door = new RpcDoor(rpcs, gate, logger);
    const parts = { door, state, service, metrics, drains, logger, origins, gate, authenticator };
    const app = buildApp({ settings, ...parts });
    const tails = new RawTails({ ...parts, pings: this.pings });
    const channels = new PhoenixSockets({
      ...parts,
      pings: this.pings,
      batchBytesMax: settings.batchBytesMax,
      topics: new Map<string, TopicKind>([
        ["conversation:", (id, payload, subscriber) => joinConversation(parts, id, payload, subscriber)],
        ["lifecycle", (_name, payload, subscriber) => joinLifecycle(parts, payload, subscriber)],
        [
          "tail:",
          (id, payload, subscriber) => joinTail({ ...parts, limits: settings }, id, payload, subscriber),
        ],
      ]),
    });
    this.takeUpgrades(app.server, tails, channels);
    await app.ready();
    this.http = app.server;
    // Before anybody can ask for a token, which names this URL; only a free port is known no earlier than it is taken.
    if (settings.port !== 0) await this.publish(settings.port);
    await new Promise<void>((listening, failed) => {
      app.server.once("error", failed);
      app.server.listen({ port: settings.port, host: settings.host, backlog: 4096 }, listening);
    });
    const { port } = app.server.address() as AddressInfo;
    if (settings.port === 0) await this.publish(port);
    await this.listenForGrpc(door);
    return `http://${hostInUrl(settings.host)}:${port}`;
  }

  private async publish(port: number): Promise<void> {
    const { publicUrl, host } = this.settings;
    this.publicUrl = publicUrl ?? `http://${hostInUrl(reachable(host))}:${port}`;
    await this.keys?.publish(this.publicUrl);
  }

  private async listenForGrpc(door: RpcDoor): Promise<void> {
    const { grpcPort, host, requestSeconds } = this.settings;
    if (grpcPort === "off") return;
    const grpc = new GrpcListener(door, requestSeconds);
    try {
      this.grpcAddress = `${hostInUrl(host)}:${await grpc.listen(grpcPort ?? USUAL_GRPC_PORT, host)}`;
      this.grpc = grpc;
    } catch (error) {
      // Nobody asked for it: a second server on this machine must start as it did without gRPC.
      const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!taken || grpcPort !== undefined) throw error;
      this.logger.warn({ port: USUAL_GRPC_PORT }, "no gRPC: its port is taken; choose one with --grpc-port");
    }
  }

  private takeUpgrades(server: HttpServer, tails: RawTails, channels: PhoenixSockets): void {
    server.on("upgrade", (request, socket, head) => {
      const path = request.url?.split("?")[0] ?? "";
      const id = /^\/v1\/sessions\/([^/]+)\/tail$/.exec(path)?.[1];
      if (request.headers.upgrade?.toLowerCase() !== "websocket")
        ignoreUpgrade(server, request, socket, head);
      else if (this.drains.draining)
        refuseSocket(socket, new DaybookError("shutting_down", "The server is shutting down."));
      else if (SOCKET_PATHS.includes(path)) void channels.upgrade(request, socket, head);
      else if (id !== undefined) void tails.upgrade(request, socket, head, id);
      else refuseSocket(socket, new DaybookError("not_found", "There is no socket at this path."));
    });
  }

  /**
   * Readiness goes first, then no new connections; tails and long polls end at once, requests in flight finish,
   * unfinished ones are cut after a while; the store closes when nobody can ask it any more.
   */
  private async stop(): Promise<void> {
    this.logger.info("draining");
    const watchdog = setTimeout(
      () => {
        this.logger.error("draining took too long");
        this.resolveClosed(this.exitCode === 0 ? 75 : this.exitCode);
      },
      this.settings.drainSeconds * 1000 + STOP_MS_MAX,
    );
    watchdog.unref();
    this.drains.drain();
    await Promise.all([this.closeHttp(), this.grpc?.close(this.settings.drainSeconds)]);
    this.transactions.close();
    this.pings.close();
    clearInterval(this.idle);
    await this.keys?.close();
    await this.engine?.close();
    await this.ops?.close();
    clearTimeout(watchdog);
    this.logger.info("stopped");
    this.resolveClosed(this.exitCode);
  }

  private async closeHttp(): Promise<void> {
    const { http } = this;
    if (http === undefined) return;
    const cut = setTimeout(() => {
      http.closeAllConnections();
      this.drains.cut();
    }, this.settings.drainSeconds * 1000);
    // What was in flight leaves its connection idle, and an idle one is of no use any more.
    const sweep = setInterval(() => http.closeIdleConnections(), SWEEP_MS);
    await new Promise<void>((done) => http.close(() => done()));
    clearInterval(sweep);
    clearTimeout(cut);
  }
}

/** With tokens any page may call: it has to bring one, and no cookie ever counts. */
function originPolicy({ allowOrigin, allowInsecure }: Settings, auth: "none" | "jwt"): OriginPolicy {
  if (auth === "jwt") return { allowed: allowOrigin.length === 0 ? ["*"] : allowOrigin, loopbackOnly: false };
  return { allowed: allowOrigin, loopbackOnly: !allowInsecure };
}

/** Nobody can call "every address". */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
