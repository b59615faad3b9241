/**
 * The example service, and the same without any tracepoint: its compiled files with each statement of a tracepoint
 * taken out, and the import of them.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inRepository } from '../../tests/support/repository.ts';

const SERVICE = inRepository('examples', 'http-service', 'dist');
const DECLARATIONS = 'tracepoints.js';
const IMPORT = /^import \* as traced from '\.\/tracepoints\.js';\n/m;
/** A call, or a test and its call on the following line, as the compiler writes them. */
const STATEMENT = /^ *(?:if \(traced\.\w+\.enabled\)\s+)?traced\.\w+(?:\.emit)?\(.*\);\n/gm;
/** So many tracepoints the service uses at least. */
const STATEMENTS_MIN = 12;

/** The service's main program. */
export const SERVICE_MAIN: string = path.join(SERVICE, 'main.js');

/**
 * Writes the service without tracepoints to build/.
 *
 * @returns its main program
 * @throws {Error} when a tracepoint would be left
 */
export function writeUntracedService(): string {
  const folder = inRepository('build', 'bench', 'untraced-service');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  let statements = 0;
  for (const file of readdirSync(SERVICE)) {
    if (!file.endsWith('.js') || file === DECLARATIONS) continue;
    const traced = readFileSync(path.join(SERVICE, file), 'utf8');
    statements += traced.match(STATEMENT)?.length ?? 0;
    const untraced = traced.replace(IMPORT, '').replace(STATEMENT, '');
    if (/traced|tracepoint/.test(untraced)) throw new Error(`Cannot take all tracepoints out of ${file}`);
    writeFileSync(path.join(folder, file), untraced);
  }
  if (statements < STATEMENTS_MIN) throw new Error(`Only ${statements} tracepoints were found in ${SERVICE}`);
  return path.join(folder, 'main.js');
}
