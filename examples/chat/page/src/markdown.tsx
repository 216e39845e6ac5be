import { lexer, type Token, type Tokens } from "marked";
import { createElement, Fragment, memo, useMemo } from "react";

/** Markdown as elements, never as HTML: whatever a model writes, nothing of it runs. */
export function Markdown({ text }: { readonly text: string }): React.ReactNode {
  const blocks = useMemo(() => lexer(text), [text]);
  // While a text grows, all blocks but the last stay as they are.
  return blocks.map((block, index) => <Block key={index} raw={block.raw} token={block} />);
}

const Block = memo(
  ({ token }: { readonly token: Token; readonly raw: string }) => shown(token),
  (before, after) => before.raw === after.raw && before.token.type === after.token.type,
);
Block.displayName = "Block";

function shown(token: Token): React.ReactNode {
  switch (token.type) {
    case "paragraph":
      return <p>{inner(token)}</p>;
    case "heading":
      // A message's headings are below those of the page.
      return createElement(`h${Math.min(6, (token as Tokens.Heading).depth + 2)}`, {}, inner(token));
    case "code":
      return <CodeBlock {...(token as Tokens.Code)} />;
    case "blockquote":
      return <blockquote>{inner(token)}</blockquote>;
    case "list":
      return <List {...(token as Tokens.List)} />;
    case "table":
      return <Table {...(token as Tokens.Table)} />;
    case "hr":
      return <hr />;
    case "strong":
      return <strong>{inner(token)}</strong>;
    case "em":
      return <em>{inner(token)}</em>;
    case "del":
      return <del>{inner(token)}</del>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link":
      return <Link {...(token as Tokens.Link)} />;
    case "space":
      return null;
    case "text":
      return "tokens" in token ? inner(token) : (token as Tokens.Text).text;
    case "escape":
      return (token as Tokens.Escape).text;
    default:
      // HTML and images: as they were written.
      return token.raw;
  }
}

function inner(token: Token): React.ReactNode {
  const { tokens = [] } = token as { readonly tokens?: readonly Token[] };
  return tokens.map((child, index) => <Fragment key={index}>{shown(child)}</Fragment>);
}

function CodeBlock({ text, lang }: Tokens.Code): React.ReactNode {
  return (
    <pre tabIndex={0} data-lang={lang}>
      <code>{text}</code>
    </pre>
  );
}

function List({ ordered, start, items }: Tokens.List): React.ReactNode {
  const children = items.map((item, index) => <li key={index}>{inner(item)}</li>);
  return ordered ? <ol start={start === "" ? 1 : start}>{children}</ol> : <ul>{children}</ul>;
}

function Table({ header, rows, align }: Tokens.Table): React.ReactNode {
  const cell = (kind: "th" | "td", { tokens }: Tokens.TableCell, index: number): React.ReactNode =>
    createElement(
      kind,
      { key: index, style: { textAlign: align[index] ?? undefined } },
      inner({ type: "cell", raw: "", tokens }),
    );
  return (
    <div className="table" tabIndex={0}>
      <table>
        <thead>
          <tr>{header.map((one, index) => cell("th", one, index))}</tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>{row.map((one, at) => cell("td", one, at))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Only to the web: a link could hold a script otherwise. */
function Link({ href, tokens, raw }: Tokens.Link): React.ReactNode {
  if (!/^https?:\/\//i.test(href)) return raw;
  return (
    <a href={href} target="_blank" rel="noreferrer">
      {inner({ type: "link", raw, tokens })}
    </a>
  );
}
