/** The places in a file at which a definition's hits are seen. */

import type { ProbeDefinition } from '../definition/definition.ts';
import { planReturns } from '../return/return-plan.ts';
import type { AnalysedFiles } from '../target/analysed-files.ts';

/** What a place is to a consumer. */
export type PlaceRole =
  /** The instruction that the definition names. */
  | { readonly kind: 'instruction' }
  /** A `ret` of its function; it takes so many bytes from the stack besides the return address. */
  | { readonly kind: 'return'; readonly poppedBytes: number }
  /** The function's entry, from where its return is followed. */
  | { readonly kind: 'call' };

/** A place that a consumer wants, by its offset in the definition's file. */
export interface WantedPlace {
  readonly offset: number;
  readonly role: PlaceRole;
}

/**
 * @returns the instruction itself, or where its function's returns are seen
 * @throws {ErrnoError} EINVAL for the return of what is not a function's beginning
 */
export function wantedPlaces(definition: ProbeDefinition, files: AnalysedFiles): WantedPlace[] {
  const offset = Number(definition.offset);
  if (definition.kind === 'entry') return [{ offset, role: { kind: 'instruction' } }];
  const plan = planReturns(definition, files);
  if (plan.kind === 'frames') return [{ offset, role: { kind: 'call' } }];
  return plan.sites.map(({ offset: site, poppedBytes }) => ({
    offset: site,
    role: { kind: 'return', poppedBytes },
  }));
}
