/** How the returns of a function are seen, as far as its file tells; found out once for a definition. */

import { addressOf } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { type ReturnSite, returnSites, type UnknownReturns } from '../code/return-sites.ts';
import type { ProbeDefinition } from '../definition/definition.ts';
import type { AnalysedFiles } from '../target/analysed-files.ts';

/** One `ret`, by its place in the file. */
export interface PlannedSite extends ReturnSite {
  readonly offset: number;
}

export type ReturnPlan =
  /** By probes at all of its `ret`s. */
  | { readonly kind: 'sites'; readonly sites: readonly PlannedSite[] }
  /** By a probe at its entry, and one where each caller goes on. */
  | { readonly kind: 'frames'; readonly reason: UnknownReturns };

/**
 * @param definition of a return probe
 * @throws {ErrnoError} EINVAL where no function begins: its return address is nobody knows where
 */
export function planReturns(definition: ProbeDefinition, files: AnalysedFiles): ReturnPlan {
  const { path, fileIdentity, offset } = definition;
  const symbols = files.open(path, fileIdentity);
  const address = symbols === undefined ? undefined : addressOf(symbols.file, offset);
  if (symbols === undefined || address === undefined) return { kind: 'frames', reason: 'unknown-function' };
  const around = symbols.image.functionAt(Number(address));
  if (around !== undefined && around.address !== Number(address))
    throw new ErrnoError(
      'EINVAL',
      `Cannot probe the return at ${path}:0x${offset.toString(16)}: no function begins there, ${around.names[0] ?? 'one'} does ${Number(address) - around.address} bytes before`,
    );
  const found = returnSites(symbols.image, Number(address));
  if (found.kind === 'unknown') return { kind: 'frames', reason: found.reason };
  const moved = Number(offset) - Number(address);
  return { kind: 'sites', sites: found.sites.map((site) => ({ ...site, offset: site.address + moved })) };
}
