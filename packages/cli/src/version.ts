/** The version of this program, from its manifest. */

import { readFileSync } from 'node:fs';

/** Such as `0.1.0`. */
export function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
