import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "@daybook/test-kit";

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: unknown;
  }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: unknown }> };
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { readonly schema: unknown }> }
  >;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, unknown> };
}

const SERVER_SOURCE = new URL("../../packages/server/src/dialects/", import.meta.url);

describe("the API's documents", () => {
  let server: TestServer;
  let document: Document;
  beforeAll(async () => {
    server = await startServer({ store: "memory" });
    const answer = await server.call("GET", "/openapi.json");
    expect(answer.headers.get("content-type")).toContain("application/json");
    document = answer.json as unknown as Document;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const operations = (): [path: string, method: string, operation: Operation][] =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, string, Operation] => [
        path,
        method,
        operation,
      ]),
    );

  test("openapi.json is OpenAPI 3.1, and every operation is whole", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info.title).toBe("Daybook");
    expect(document.info.version).toMatch(/^\d+\.\d+\.\d+$/);
    const names = operations().map(([, , { operationId }]) => operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const [path, method, operation] of operations()) {
      const what = `${method} ${path}`;
      expect(["get", "post", "patch", "put", "delete"], what).toContain(method);
      expect(path, what).toMatch(/^\/[^:]*$/);
      expect(operation.summary, what).not.toBe("");
      const declared = (operation.parameters ?? []).filter((one) => one.in === "path");
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(
        declared.map(({ name }) => name),
        what,
      ).toEqual(inPath);
      expect(
        declared.every(({ required }) => required === true),
        what,
      ).toBe(true);
      expect(
        Object.keys(operation.responses).some((status) => status.startsWith("2")),
        what,
      ).toBe(true);
      for (const [status, { description }] of Object.entries(operation.responses)) {
        expect(status, what).toMatch(/^\d{3}$/);
        expect(description, what).not.toBe("");
      }
    }
  });

  test("headers that mean something to a call are said", () => {
    const append = document.paths["/v1/conversations/{id}/messages"]?.post;
    expect(append?.parameters).toContainEqual({
      name: "Idempotency-Key",
      in: "header",
      description: expect.any(String) as string,
      schema: { type: "string", minLength: 1, maxLength: 256 },
    });
  });

  test("every schema in it is JSON Schema, and every reference leads somewhere", () => {
    const types = ["string", "integer", "number", "boolean", "null", "object", "array"];
    const visit = (node: unknown, inSchema: boolean): void => {
      if (Array.isArray(node)) {
        for (const item of node) visit(item, inSchema);
        return;
      }
      if (typeof node !== "object" || node === null) return;
      const members = node as Record<string, unknown>;
      if (typeof members.$ref === "string") {
        const [, name] = /^#\/components\/schemas\/(\w+)$/.exec(members.$ref) ?? [];
        expect(document.components.schemas).toHaveProperty(name ?? members.$ref);
      }
      if (inSchema && typeof members.type === "string") expect(types).toContain(members.type);
      if (inSchema && members.required !== undefined)
        expect(Object.keys(members.properties as object)).toEqual(
          expect.arrayContaining(members.required as string[]),
        );
      for (const [name, value] of Object.entries(members)) {
        expect(name.startsWith("~"), `${name} is no keyword`).toBe(false);
        if (name === "properties") for (const schema of Object.values(value as object)) visit(schema, true);
        else visit(value, inSchema || name === "schema" || name === "schemas");
      }
    };
    visit(document, false);
  });

  test("it has exactly the routes that the sources register", () => {
    const paths = readdirSync(SERVER_SOURCE)
      .filter((name) => name.endsWith(".ts"))
      .flatMap((name) => [
        ...readFileSync(new URL(name, SERVER_SOURCE), "utf8").matchAll(/^\s*path: ["`](.*)["`],$/gm),
      ])
      .map(([, path]) => path ?? "")
      .flatMap((path) => {
        const [whole, one, other] = /\$\{\w+ \? "(\w+)" : "(\w+)"\}/.exec(path) ?? [];
        return whole === undefined
          ? [path]
          : [path.replace(whole, one ?? ""), path.replace(whole, other ?? "")];
      })
      .map((path) => path.replace(/:(\w+)/g, "{$1}"));
    expect([...new Set(paths)].sort()).toEqual(Object.keys(document.paths).sort());
  });

  test("each path has just the methods that the document says", async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const unused = ["PUT", "DELETE", "PATCH"].find((method) => !(method.toLowerCase() in methods)) ?? "";
      const { status, headers, json } = await server.call(unused, path.replace(/\{\w+\}/g, "some"));
      expect([path, status, json.error]).toEqual([path, 405, "method_not_allowed"]);
      const allowed = headers.get("allow")?.split(", ").sort();
      expect(allowed).toEqual(
        [...Object.keys(methods).map((method) => method.toUpperCase()), "OPTIONS"].sort(),
      );
    }
  });

  test("each operation is there, and answers with a status that its document has", async () => {
    for (const [path, method, operation] of operations()) {
      const needsBody = operation.requestBody !== undefined;
      const answer = await fetch(server.url + path.replace(/\{\w+\}/g, "nobody"), {
        method: method.toUpperCase(),
        ...(needsBody && { body: "[]", headers: { "content-type": "application/json" } }),
      });
      expect(Object.keys(operation.responses), `${method} ${path}`).toContain(String(answer.status));
      // A stream that was opened would not end.
      const { error } = answer.ok ? {} : ((await answer.json()) as { error?: string });
      await answer.body?.cancel().catch(() => undefined);
      expect(["not_found", "method_not_allowed", "internal_error"]).not.toContain(error);
    }
  });

  test("the calls of the session dialect are all in it", () => {
    const calls = operations().map(([path, method]) => `${method.toUpperCase()} ${path}`);
    expect(calls).toEqual(
      expect.arrayContaining([
        "POST /v1/sessions",
        "GET /v1/sessions",
        "GET /v1/sessions/{id}",
        "PATCH /v1/sessions/{id}",
        "DELETE /v1/sessions/{id}",
        "POST /v1/sessions/{id}/append",
        "POST /v1/sessions/{id}/archive",
        "POST /v1/sessions/{id}/unarchive",
        "GET /v1/sessions/{id}/events",
        "GET /v1/sessions/{id}/tail",
      ]),
    );
  });

  test("/docs is a page that loads nothing from elsewhere, and may not", async () => {
    const { status, headers, text } = await server.call("GET", "/docs");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(text).toMatch(/^<!doctype html>/i);
    expect(text).not.toMatch(/(src|href)\s*=\s*["']?(https?:)?\/\/|@import|url\(/i);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).not.toMatch(/https?:|\*/);
  });
});
