import { ERRORS } from "@daybook/protocol";
import { ErrorBody } from "@daybook/protocol/schemas";
import type { TSchema } from "typebox";
import type { Route } from "../http/route.js";

/** Codes that any call can answer with. */
const ANYWHERE = [
  ...["unauthorized", "forbidden_scope", "forbidden_session", "forbidden_origin", "rate_limited"],
  ...["not_found", "internal_error", "shutting_down"],
];

/** The OpenAPI 3.1 document of a route table: schemas are JSON Schema already. */
export function openApiDocument(routes: readonly Route[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Daybook",
      version,
      description: "The durable, ordered record of AI sessions.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    security: [{ bearer: [] }],
    components: {
      schemas: { Error: ErrorBody },
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
    },
  };
}

function operation(route: Route): Record<string, unknown> {
  const parameters = [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string", maxLength: 256 },
    })),
    ...(route.query ?? []).map((parameter) => ({ in: "query", ...parameter })),
    ...(route.headers ?? []).map((parameter) => ({ in: "header", ...parameter })),
  ];
  return {
    operationId: operationId(route),
    summary: route.summary,
    ...(route.description !== undefined && { description: route.description }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body !== undefined && { requestBody: { required: true, content: json(route.body) } }),
    responses: {
      [route.success.status]: {
        description: route.success.description,
        ...(route.success.schema !== undefined && { content: json(route.success.schema) }),
      },
      ...errorResponses([...new Set([...route.errors, ...ANYWHERE])]),
    },
  };
}

function operationId({ method, path }: Route): string {
  const words = path
    .split("/")
    .map((part) => part.replace(/^:(\w)/, (_all, letter: string) => `By${letter.toUpperCase()}`));
  return (
    method.toLowerCase() +
    words
      .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
      .join("")
      .replace(/\W/g, "")
  );
}

/** Errors grouped by status, each code named. */
function errorResponses(codes: readonly string[]): Record<string, unknown> {
  const byStatus = new Map<number, string[]>();
  for (const code of codes) {
    const facts = ERRORS[code as keyof typeof ERRORS];
    byStatus.set(facts.http, [...(byStatus.get(facts.http) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [
      status,
      {
        description: names.map((name) => `\`${name}\``).join(", "),
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ]),
  );
}

function json(schema: TSchema): Record<string, unknown> {
  return { "application/json": { schema } };
}
