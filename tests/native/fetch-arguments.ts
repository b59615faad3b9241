import { type FetchArgument, parseDefinition, type ProbeDefinition } from '@usertrace/uprobes';

/** The definition with these fetch arguments, in a file system in which every path is a file; with `$retval` among them, a return probe. */
export function definitionOf(text: string): ProbeDefinition {
  const definition = parseDefinition(`${text.includes('$retval') ? 'r' : 'p'}:t/t /x:0 ${text}`, {
    look: () => ({ kind: 'regular', identity: '' }),
  });
  if (definition === undefined) throw new Error(`no definition: ${text}`);
  return definition;
}

/** The fetch arguments that a definition's words say. */
export function fetchArguments(text: string): readonly FetchArgument[] {
  return definitionOf(text).arguments;
}
