import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { type Claims, signToken } from "./auth-server.js";

interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

/** An identity provider: a key set over HTTP, and tokens signed with its keys. It can rotate, and be away. */
export class LocalIssuer implements AsyncDisposable {
  keys: IssuerKey[] = [];
  /** Requests for the key set so far. */
  asked = 0;
  /** What it answers instead of its keys, if anything. */
  trouble: { readonly status: number; readonly body: string } | "silent" | undefined;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<LocalIssuer> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const issuer = new LocalIssuer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on("request", (_request, response) => {
      issuer.asked++;
      if (issuer.trouble === "silent") return;
      const { status, body } = issuer.trouble ?? { status: 200, body: JSON.stringify(issuer.keySet) };
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
    return issuer;
  }

  get jwksUrl(): string {
    return `${this.url}/jwks.json`;
  }

  get settings(): { jwtIssuer: string; jwtAudience: string; jwksUrl: string } {
    return { jwtIssuer: this.url, jwtAudience: "our-app", jwksUrl: this.jwksUrl };
  }

  private get keySet(): { keys: JWK[] } {
    return { keys: this.keys.map(({ kid, alg, publicJwk }) => ({ ...publicJwk, kid, alg, use: "sig" })) };
  }

  async addKey(kid: string, alg = "RS256"): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    this.keys.push({
      kid,
      alg,
      publicJwk: await exportJWK(publicKey),
      privateJwk: await exportJWK(privateKey),
    });
  }

  /** A token of a service of acme with all scopes, unless it says otherwise. */
  token(
    claims: Claims = {},
    { kid = this.keys.at(-1)?.kid }: { kid?: string | undefined } = {},
  ): Promise<string> {
    const key = this.keys.find((one) => one.kid === kid);
    if (key === undefined) throw new Error(`this issuer has no key ${kid ?? ""}`);
    const now = Math.floor(Date.now() / 1000);
    const all = {
      iss: this.url,
      aud: "our-app",
      exp: now + 600,
      tenant_id: "acme",
      sub: "service:idp",
      scope: "session:create session:read session:append",
      ...claims,
    };
    return signToken(key, all, { kid: key.kid, alg: key.alg });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    if (this.server.listening) await once(this.server, "close");
  }
}
