/** `usertrace probe`: probes that stay, in the prober of this user. */

import { type ProbeListing, ProberClient, type ProbeScope } from '@usertrace/prober';
import { coloursFor } from '../colours.ts';
import { EXIT, Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { definitionFailure } from '../probes/definition-failure.ts';
import { loadDemangler } from '../probes/demangler.ts';
import { filterOf } from '../probes/run-probes.ts';
import { obstacleText } from '../probes/obstacle-texts.ts';
import { counted } from '../recording/quantities.ts';

/**
 * Adds probes that stay until they are removed, and prints their events.
 *
 * @param definitions as uprobe_events takes them, with function names, or `sdt:PROVIDER:NAME`
 * @throws {Failure} for a definition that is refused; those before it stay
 */
export async function addProbes(
  definitions: readonly string[],
  { pid, filter }: { readonly pid?: readonly number[]; readonly filter?: string },
): Promise<void> {
  const scope: ProbeScope = pid === undefined ? { kind: 'all' } : { kind: 'processes', pids: pid };
  const client = await ProberClient.connect({ mayStart: true, note: say });
  try {
    for (const text of definitions) {
      const definition = Buffer.from(text).toString('latin1');
      const body = { definition, folder: process.cwd(), scope, isKept: true, ...filterOf(filter) };
      const { events } = await client.request('add', body);
      for (const { group, event } of events) process.stdout.write(`${group}:${event}\n`);
    }
  } catch (error) {
    throw definitionFailure(error);
  } finally {
    client.close();
  }
}

/** Prints the probes, with what became of them in each process. */
export async function listProbes(options: { readonly json?: true }): Promise<void> {
  const probes = await currentProbes();
  const demangle = loadDemangler();
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify(
        probes.map((probe) => jsonOf(probe, demangle)),
        undefined,
        2,
      )}\n`,
    );
  } else if (probes.length === 0) process.stdout.write('no probes\n');
  else process.stdout.write(probes.map((probe) => probeText(probe, demangle)).join(''), 'latin1');
}

/**
 * Removes probes, and prints which.
 *
 * @throws {Failure} when a pattern means none, or one that somebody listens to
 */
export async function removeProbes(
  patterns: readonly string[],
  { all }: { readonly all?: true },
): Promise<void> {
  if (patterns.length > 0 === (all === true))
    throw new Failure('name the probes to remove, or --all; `usertrace probe list` shows them', EXIT.usage);
  anyEventMatcher(patterns);
  const client = await ProberClient.connect({ mayStart: false, note: say });
  try {
    for (const pattern of all ? ['*'] : patterns) {
      const removed = client === undefined ? [] : await removedBy(client, pattern, all === true);
      if (removed.length === 0 && !all) throw noProbe(pattern);
      for (const event of removed) process.stdout.write(`${event}\n`);
    }
  } finally {
    client?.close();
  }
}

async function removedBy(client: ProberClient, pattern: string, isAll: boolean): Promise<readonly string[]> {
  try {
    return (await client.request('remove', { pattern })).removed;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') {
      if (isAll) return [];
      throw noProbe(pattern);
    }
    if (code === 'EBUSY')
      throw new Failure(
        `cannot remove what ${pattern} means: somebody listens to it; \`usertrace list\` shows who, end that first`,
      );
    throw error;
  }
}

function noProbe(pattern: string): Failure {
  return new Failure(`no probe of yours is called ${pattern}; \`usertrace probe list\` shows them`);
}

async function currentProbes(): Promise<readonly ProbeListing[]> {
  const client = await ProberClient.connect({ mayStart: false, note: say });
  if (client === undefined) return [];
  try {
    return (await client.request('list', {})).probes;
  } finally {
    client.close();
  }
}

function jsonOf(probe: ProbeListing, demangle: (name: string) => string): object {
  const { symbol } = probe;
  return { ...probe, ...(symbol === undefined ? {} : { function: demangle(symbol.name) }) };
}

function probeText(probe: ProbeListing, demangle: (name: string) => string): string {
  const colours = coloursFor(process.stdout);
  const { definition, symbol, hits, misses, client, processes, scope } = probe;
  const name = symbol === undefined ? '' : Buffer.from(demangle(symbol.name)).toString('latin1');
  const place = symbol === undefined ? '' : `  ${name}${symbol.offset === 0 ? '' : `+${symbol.offset}`}\n`;
  const owner = client === undefined ? '' : `, for process ${client}`;
  const whom = scope === 'all' ? 'every process' : scope === 'launched' ? 'a command' : 'named processes';
  const lines = processes.map((listing) => {
    const { pid, comm, state, reason, hits: own } = listing;
    const kind = stateText(listing);
    const why = reason === undefined ? '' : `: ${obstacleText(reason)}`;
    return `  ${comm} ${pid}  ${state === 'refused' ? colours.red(kind) : kind}${why}  ${counted(own, 'hit')}\n`;
  });
  return (
    `${colours.bold(definition)}\n${place}` +
    `  ${counted(hits, 'hit')}, ${counted(misses, 'miss', 'misses')}, in ${whom}${owner}\n${lines.join('')}`
  );
}

/** What a probe is in a process; of several returns, how many are jumps. */
function stateText({ state, returns }: ProbeListing['processes'][number]): string {
  if (state === 'idle') return 'nobody listens';
  if (returns === undefined || returns.jumps === 0) return state;
  const jumps = `jump at ${returns.jumps} of ${returns.all} returns`;
  return returns.jumps === returns.all ? jumps : `${jumps}, else ${state}`;
}

function say(text: string): void {
  process.stderr.write(`usertrace: ${text}\n`);
}
