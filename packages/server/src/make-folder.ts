export { makeFolder } from "@daybook/engine";
