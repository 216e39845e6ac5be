import "./page.test.support.js";
import * as React from "react";
import * as client from "react-dom/client";
import * as server from "react-dom/server";
import { describeHooks } from "./hooks-suite.test.support.js";

describeHooks({ name: "19", React, client, server });
