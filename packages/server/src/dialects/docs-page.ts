/** A page for people that reads `/openapi.json`. Nothing from elsewhere: it works without a network. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Daybook API</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #2563eb; }
  body { font: 15px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin-bottom: .2rem; } p { margin: .4rem 0; }
  details { border: 1px solid var(--line); border-radius: 8px; margin: .6rem 0; padding: .5rem .9rem; }
  summary { cursor: pointer; } code, pre { font: 13px/1.5 ui-monospace, monospace; }
  pre { background: var(--soft); border-radius: 6px; padding: .7rem; overflow: auto; }
  .method { display: inline-block; min-width: 4.2rem; font-weight: 700; color: var(--accent); }
  .what { opacity: .75; margin-left: .6rem; }
  table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
  td:first-child { white-space: nowrap; }
</style>
<h1>Daybook API</h1>
<p>The durable, ordered record of AI sessions. The same as a document for machines: <a href="/openapi.json">/openapi.json</a>.</p>
<main id="calls"><p>Reading the document…</p></main>
<script>
  const text = (tag, content, className) => {
    const element = document.createElement(tag);
    element.textContent = content;
    if (className) element.className = className;
    return element;
  };
  const table = (rows) => {
    const element = document.createElement("table");
    for (const [name, what] of rows) {
      const row = element.insertRow();
      row.insertCell().append(text("code", name));
      row.insertCell().append(what);
    }
    return element;
  };
  const schemaOf = (part) => part && part.content && part.content["application/json"].schema;
  fetch("/openapi.json").then((answer) => answer.json()).then((document) => {
    const calls = window.document.getElementById("calls");
    calls.replaceChildren();
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, call] of Object.entries(methods)) {
        const box = window.document.createElement("details");
        const line = window.document.createElement("summary");
        line.append(text("span", method.toUpperCase(), "method"), text("code", path), text("span", call.summary, "what"));
        box.append(line);
        if (call.description) box.append(text("p", call.description));
        if (call.parameters) box.append(table(call.parameters.map((one) => [one.name, one.description || one.in])));
        if (call.requestBody) box.append(text("p", "Body"), text("pre", JSON.stringify(schemaOf(call.requestBody), null, 2)));
        const answers = Object.entries(call.responses).map(([status, one]) => [status, one.description]);
        box.append(text("p", "Answers"), table(answers));
        calls.append(box);
      }
    }
  }).catch((error) => calls.replaceChildren(text("p", "The document could not be read: " + error.message)));
</script>
</html>
`;
