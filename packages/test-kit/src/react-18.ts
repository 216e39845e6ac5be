import { createRequire } from "node:module";
import type * as ReactModule from "react";
import type * as ReactDomClient from "react-dom/client";
import type * as ReactDomServer from "react-dom/server";

const require = createRequire(import.meta.url);

/** React 18, as apps have it that have not moved on: `vi.mock("react", …)` puts it in the place of the newest. */
export const React = require("react") as typeof ReactModule;
export const client = require("react-dom/client") as typeof ReactDomClient;
export const server = require("react-dom/server") as typeof ReactDomServer;
