import "./page.test.support.js";
import { client, React, server } from "@daybook/test-kit/react-18";
import { vi } from "vitest";
import { describeHooks } from "./hooks-suite.test.support.js";

vi.mock("react", async () => (await import("@daybook/test-kit/react-18")).React);

describeHooks({ name: "18", React, client, server });
