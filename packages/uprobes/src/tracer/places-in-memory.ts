/** Where the places of files are in a memory. */

import { distinctDefinitions, type PlaceInMemory } from '../jump/wanted-jumps.ts';
import type { Mapping } from '../process/process-maps.ts';
import type { FileMapping } from '../table/table-layout.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { ProbedPlace } from './probed-places.ts';
import type { PlaceRole } from './wanted-places.ts';

/** The code of files that were ever probed. */
export function fileMappings(mappings: readonly Mapping[], files: FileNumbers): FileMapping[] {
  const found: FileMapping[] = [];
  for (const { start, end, isExecutable, identity, offset } of mappings) {
    const file = identity === undefined ? undefined : files.known(identity);
    if (isExecutable && file !== undefined) found.push({ start, end, file, offset });
  }
  return found;
}

/** Each place that is mapped. */
export function placesIn<T>(
  probes: readonly ProbedPlace[],
  mappings: readonly FileMapping[],
  found: (place: ProbedPlace, address: number, fileBase: number) => T,
): T[] {
  return mappings.flatMap(({ start, end, file, offset: mappedOffset }) =>
    probes.flatMap((place) => {
      const address = start + place.offset - mappedOffset;
      const isIn = file === place.file && address >= start && address < end;
      return isIn ? [found(place, address, start - mappedOffset)] : [];
    }),
  );
}

/** What is wanted where, by address. */
export function jumpPlaces(
  probes: readonly ProbedPlace[],
  mappings: readonly FileMapping[],
): Map<number, PlaceInMemory> {
  const found = placesIn(probes, mappings, ({ roles }, address, fileBase): [number, PlaceInMemory] => [
    address,
    { definitions: distinctDefinitions(roles.keys()), fileBase: BigInt(fileBase), ...jumpRole(roles) },
  ]);
  return new Map(found);
}

/** What the roles of a place say of a jump there: a trampoline serves one kind of them. */
function jumpRole(roles: ReadonlyMap<unknown, PlaceRole>): Pick<PlaceInMemory, 'site' | 'obstacle'> {
  const all = [...roles.values()];
  const call = all.find((role) => role.kind === 'call');
  if (call !== undefined) return { obstacle: call.reason };
  const site = all.find((role) => role.kind === 'return')?.site;
  if (site === undefined) return {};
  return all.every(({ kind }) => kind === 'return') ? { site } : { obstacle: 'neighbour' };
}
