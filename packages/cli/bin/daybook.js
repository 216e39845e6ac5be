#!/usr/bin/env node
import "../bundle/daybook.js";
