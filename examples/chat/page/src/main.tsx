import "@fontsource-variable/inter";
import "@fontsource-variable/inter/wght-italic.css";
import "@fontsource-variable/newsreader";
import "./styles.css";
import { Daybook, indexedDbStore } from "@daybook/client";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.js";
import { fetchMe } from "./backend.js";

const element = document.getElementById("root");
if (element === null) throw new Error("There is no #root.");
const root = createRoot(element);

const me = await fetchMe();
// One client for the page: one socket, and a store that lives on when the page does not.
const daybook = new Daybook({ baseUrl: me.daybookUrl, store: indexedDbStore() });
root.render(
  <StrictMode>
    <App me={me} daybook={daybook} />
  </StrictMode>,
);
