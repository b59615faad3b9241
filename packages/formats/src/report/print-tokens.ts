/** The words of a `print fmt`: C's, as far as they occur there. */

/** A word. A text has its quotes and escapes taken away. */
export interface PrintToken {
  readonly kind: 'text' | 'number' | 'name' | 'sign';
  readonly text: string;
}

const TOKENS_MAX = 65_536;
const TOKEN =
  /\s*(?:"(?<text>(?:[^"\\]|\\.)*)"|(?<number>0[xX][0-9a-fA-F]+|\d+)[uUlL]*|(?<name>[A-Za-z_][A-Za-z0-9_.]*)|(?<sign>->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>?:(){}[\],]))/sy;

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** Takes a `print fmt` apart. @returns undefined when it holds what C does not know, such as an open quote */
export function printTokens(text: string): PrintToken[] | undefined {
  const tokens: PrintToken[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const groups = TOKEN.exec(text)?.groups;
    if (groups === undefined || tokens.length >= TOKENS_MAX) return undefined;
    const { text: quoted, number, name, sign } = groups;
    if (quoted !== undefined) {
      // trace-cmd knows few escapes; of others it drops the backslash.
      tokens.push({ kind: 'text', text: quoted.replaceAll(/\\(.)/gs, (_, c: string) => ESCAPES[c] ?? c) });
    } else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else tokens.push({ kind: 'sign', text: sign ?? '' });
  }
  return tokens;
}
