/** Where the places of files are in a memory. */

import { distinctDefinitions, type PlaceInMemory } from '../jump/wanted-jumps.ts';
import type { Mapping } from '../process/process-maps.ts';
import type { FileMapping } from '../table/table-layout.ts';
import type { FileNumbers } from './file-numbers.ts';
import type { ProbedPlace } from './probed-places.ts';

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

/** What is wanted where, by address. Only instructions can be jumps. */
export function jumpPlaces(
  probes: readonly ProbedPlace[],
  mappings: readonly FileMapping[],
): Map<number, PlaceInMemory> {
  const found = placesIn(probes, mappings, ({ roles }, address, fileBase): [number, PlaceInMemory] => {
    const isJumpable = [...roles.values()].every(({ kind }) => kind === 'instruction');
    const definitions = isJumpable ? distinctDefinitions(roles.keys()) : [];
    return [address, { definitions, fileBase: BigInt(fileBase) }];
  });
  return new Map(found);
}
