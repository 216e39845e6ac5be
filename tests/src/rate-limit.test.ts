import { eventBody, eventually } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { AuthServer, newId } from "./support/auth-server.js";
import { ChannelSocket, channelUrl } from "./support/channel-socket.js";
import { refusedUpgrade, tailUrl } from "./support/tail-socket.js";

describe("--rate-limit-tenant", () => {
  test("bounds one tenant's requests and no other's: 429 with Retry-After, and later it may again", async () => {
    await using auth = await AuthServer.start({ rateLimitTenant: 5 });
    const [acme, umbrella] = [await auth.service("acme"), await auth.service("umbrella")];
    const answers = await Promise.all(Array.from({ length: 30 }, () => acme.call("GET", "/v1/sessions")));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(15);
    expect(refused[0]?.json.error).toBe("rate_limited");
    expect(refused[0]?.headers.get("retry-after")).toBe("1");
    expect(refused[0]?.headers.get("access-control-allow-origin")).toBe("*");
    expect((await umbrella.call("GET", "/v1/sessions")).status).toBe(200);
    await eventually(
      "there is room again",
      async () => (await acme.call("GET", "/v1/sessions")).status === 200,
    );
  });

  test("counts joins and pushes on a channel, which is one request otherwise", async () => {
    await using auth = await AuthServer.start({ rateLimitTenant: 10 });
    const api = await auth.service();
    const id = await api.create({ id: newId() });
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    expect(await socket.join(`tail:${id}`)).toBe("ok");
    const refs = Array.from({ length: 40 }, (_, n) =>
      socket.send(`tail:${id}`, "append", { event: eventBody(n + 1) }),
    );
    const replies = await Promise.all(refs.map((ref) => socket.replyTo(ref)));
    const reasons = replies.map(({ status, response }) => (status === "ok" ? "ok" : response["reason"]));
    expect(reasons.filter((reason) => reason === "rate_limited").length).toBeGreaterThan(20);
    expect(await socket.join("lifecycle")).toBe("rate_limited");
    expect((await socket.ask("phoenix", "heartbeat")).status).toBe("ok");
    // The tail itself is no request.
    const written = reasons.filter((reason) => reason === "ok").length;
    expect(written).toBeGreaterThan(0);
    await eventually("what was written comes", () => socket.seqs(`tail:${id}`).length >= written);
  });

  test("counts upgrades", async () => {
    await using auth = await AuthServer.start({ rateLimitTenant: 3 });
    const token = await auth.token();
    const statuses = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const url =
          n % 2 === 0
            ? channelUrl(auth.url, token, "2.0.0")
            : tailUrl(auth.url, "nobody", `?access_token=${token}`);
        const answer = await fetch(url.replace(/^ws/, "http"), { headers: {} });
        return answer.status;
      }),
    );
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
    await eventually("an upgrade is refused", async () => {
      for (let n = 0; n < 5; n++) await auth.as(token).call("GET", "/v1/sessions");
      return (await refusedUpgrade(tailUrl(auth.url, "nobody", `?access_token=${token}`))).status === 429;
    });
  });
});

describe("--rate-limit-address", () => {
  test("bounds an address before any token is looked at, so that guessing is slow", async () => {
    await using auth = await AuthServer.start({ rateLimitAddress: 5 });
    const guesses = await Promise.all(
      Array.from({ length: 30 }, (_, n) => auth.as(`guess-${n}`).call("GET", "/v1/sessions")),
    );
    expect(guesses.filter(({ status }) => status === 401).length).toBeLessThan(15);
    expect(guesses.filter(({ status }) => status === 429).length).toBeGreaterThan(15);
    expect((await auth.as(await auth.token()).call("GET", "/v1/sessions")).status).toBe(429);
  });

  const from = async (auth: AuthServer, forwarded: string): Promise<number> =>
    (
      await (
        await auth.service()
      ).call("GET", "/v1/sessions", undefined, { headers: { "x-forwarded-for": forwarded } })
    ).status;

  test("believes no X-Forwarded-For by itself: everybody could be everybody", async () => {
    await using auth = await AuthServer.start({ rateLimitAddress: 2 });
    const statuses = await Promise.all(Array.from({ length: 10 }, (_, n) => from(auth, `10.0.0.${n}`)));
    expect(statuses).toContain(429);
  });

  test("with --trust-proxy takes the last entry, which the proxy wrote, whatever the caller put before it", async () => {
    await using auth = await AuthServer.start({ rateLimitAddress: 2, trustProxy: true });
    const different = await Promise.all(Array.from({ length: 10 }, (_, n) => from(auth, `10.0.0.${n}`)));
    expect(different).toEqual(Array(10).fill(200));
    const same = await Promise.all(Array.from({ length: 10 }, (_, n) => from(auth, `1.2.3.${n}, 9.9.9.9`)));
    expect(same).toContain(429);
  });
});

test("without the flags nobody is limited", async () => {
  await using auth = await AuthServer.start();
  const api = await auth.service();
  const answers = await Promise.all(Array.from({ length: 200 }, () => api.call("GET", "/v1/sessions")));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
});
