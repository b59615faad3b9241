import { type DefinitionPort, type FetchArgument, parseDefinition } from '@usertrace/uprobes';

/** A file system in which every path is a file. */
const EVERYWHERE: DefinitionPort = { look: () => ({ kind: 'regular', identity: '' }) };

/** The fetch arguments that a definition's words say; with `$retval` among them, a return probe's. */
export function fetchArguments(text: string): readonly FetchArgument[] {
  const kind = text.includes('$retval') ? 'r' : 'p';
  return parseDefinition(`${kind}:t/t /x:0 ${text}`, EVERYWHERE)?.arguments ?? [];
}
