/** A name or a path longer than this says nothing more to a reader, and would let a request fill a log line. */
const NAME_LENGTH_MAX = 64;
const PATH_LENGTH_MAX = 512;

/** An object or array that is open at some offset: the member or item that was begun last in it. */
interface OpenContainer {
  readonly isArray: boolean;
  index: number;
  name: string | undefined;
}

/**
 * Names the place in `text` that holds `offset`, as `events[3].payload`; `member` adds one more name at the end.
 *
 * The text is walked a second time to find out: only a refusal needs a path, so that parsing need not keep one.
 * Everything before `offset` must be good JSON, which is what a parser has seen when it stops there.
 */
export function jsonPathAt(text: string, offset: number, member?: string): string {
  let path = "";
  for (const container of openContainersAt(text, offset)) path += step(path, container);
  if (member !== undefined) path += nameStep(path, member);
  return path.length <= PATH_LENGTH_MAX ? path : `${path.slice(0, PATH_LENGTH_MAX)}…`;
}

function openContainersAt(text: string, offset: number): OpenContainer[] {
  const open: OpenContainer[] = [];
  for (let position = 0; position < offset; position++) {
    const innermost = open.at(-1);
    switch (text.charAt(position)) {
      case "{":
      case "[":
        open.push({ isArray: text[position] === "[", index: 0, name: undefined });
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ",":
        if (innermost === undefined) break;
        innermost.index++;
        innermost.name = undefined;
        break;
      case '"': {
        const end = afterString(text, position);
        if (innermost?.isArray === false && innermost.name === undefined && end <= offset) {
          innermost.name = JSON.parse(text.slice(position, end)) as string;
        }
        position = end - 1;
        break;
      }
    }
  }
  return open;
}

function afterString(text: string, start: number): number {
  let position = start + 1;
  while (position < text.length && text[position] !== '"') position += text[position] === "\\" ? 2 : 1;
  return position + 1;
}

function step(path: string, container: OpenContainer): string {
  if (container.isArray) return `[${container.index}]`;
  return container.name === undefined ? "" : nameStep(path, container.name);
}

function nameStep(path: string, name: string): string {
  if (name.length > NAME_LENGTH_MAX) return `[${JSON.stringify(`${name.slice(0, NAME_LENGTH_MAX)}…`)}]`;
  if (!/^[A-Za-z_$][\w$]*$/.test(name)) return `[${JSON.stringify(name)}]`;
  return path === "" ? name : `.${name}`;
}
