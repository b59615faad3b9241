/** What `probe list` shows of the probes in force and of each process that they are for. */
import { probeFormatText } from '@usertrace/uprobes';
import type { Probe } from './probe.ts';
import type { ProbedProgram } from './probed-program.ts';
import type { ProbedPrograms } from './probed-programs.ts';
import type { ProbedProcessListing, ProbeListing } from './protocol.ts';
import type { SymbolFiles } from './symbol-files.ts';

/** @param files name the functions */
export function probeListing(probe: Probe, programs: ProbedPrograms, files: SymbolFiles): ProbeListing {
  const { definition, filePath: path, owner, scope, hits, misses, line } = probe;
  const { group, event, offset } = definition;
  const symbol = files.symbolAt(path, offset);
  const probed = programs.all.filter((program) => program.has(probe));
  return {
    definition: line,
    group,
    event,
    path,
    scope,
    format: probeFormatText(definition, 0),
    hits,
    misses,
    ...(symbol === undefined ? {} : { symbol }),
    ...(owner === undefined ? {} : { client: owner.pid }),
    processes: probed.map((program) =>
      processListing(program, probe, programs.refusals.reason(program.found.pid)),
    ),
  };
}

/** @param refusal why the process as a whole cannot be probed */
function processListing(
  program: ProbedProgram,
  probe: Probe,
  refusal: string | undefined,
): ProbedProcessListing {
  const { found, tree } = program;
  const { hits, misses, refusal: ownRefusal } = program.counts(probe) ?? { hits: 0, misses: 0 };
  const reason = ownRefusal ?? refusal;
  const listing = { pid: found.pid, comm: found.comm, hits, misses };
  if (reason !== undefined) return { ...listing, state: 'refused', reason };
  const places = tree?.hasProbe(probe) === true ? tree.places(probe, found.pid) : [];
  // The places of a return probe are a jump when all are.
  const worst = places.find(({ kind }) => kind === 'refused') ?? places.find(({ kind }) => kind !== 'jump');
  const { kind: state, reason: why } = worst ?? places[0] ?? { kind: 'idle' as const, reason: undefined };
  const jumps = places.filter(({ kind }) => kind === 'jump').length;
  return {
    ...listing,
    state,
    ...(why === undefined ? {} : { reason: why }),
    ...(probe.definition.kind === 'return' && places.length > 1
      ? { returns: { jumps, all: places.length } }
      : {}),
  };
}
