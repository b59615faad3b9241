/** The places in a file at which a definition's hits are seen. */

import type { ProbeDefinition } from '../definition/definition.ts';
import type { UnknownReturns } from '../code/return-sites.ts';
import { type PlannedSite, planReturns } from '../return/return-plan.ts';
import type { AnalysedFiles } from '../target/analysed-files.ts';

/** What a place is to a consumer. */
export type PlaceRole =
  /** The instruction that the definition names. */
  | { readonly kind: 'instruction' }
  /** A `ret` of its function. */
  | { readonly kind: 'return'; readonly site: PlannedSite }
  /** The function's entry, from where its return is followed, since its `ret`s do not tell all. */
  | { readonly kind: 'call'; readonly reason: UnknownReturns };

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
  if (plan.kind === 'frames') return [{ offset, role: { kind: 'call', reason: plan.reason } }];
  return plan.sites.map((site) => ({ offset: site.offset, role: { kind: 'return', site } }));
}
