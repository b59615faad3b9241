/**
 * `sdt:PROVIDER:NAME`, or `sdt:PATH:PROVIDER:NAME`: the definitions for all sites of that name, in one file or in those that processes
 * have mapped. Sites whose arguments differ cannot feed one event: they get `_1`, `_2` behind the name.
 */
import { readFileSync, statSync } from 'node:fs';
import { ElfError, ElfFile, sdtSites } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { readMappings, sdtDefinition } from '@usertrace/uprobes';

const WORDS = /^sdt:(?:(?<path>\/[^\s]*):)?(?<provider>[A-Za-z_]\w*):(?<name>[A-Za-z_]\w*)$/;
/** A file that is larger is not searched. */
const FILE_BYTES_MAX = 512 * 1024 * 1024;
/** Files that are searched. */
const FILES_MAX = 4096;
/** Sites of one name. */
const SITES_MAX = 256;

/** The definitions of an SDT name. */
export interface SdtCommands {
  readonly commands: readonly string[];
  /** What was left out. */
  readonly notes: readonly string[];
}

/**
 * Finds the sites of an SDT name.
 *
 * @param text the name, with `sdt:` before it
 * @param pids whose files are searched when no path is named
 * @throws {ErrnoError} EINVAL when it is no such name, ENOENT when no file has it
 */
export function sdtCommands(text: string, pids: readonly number[]): SdtCommands {
  const { path, provider, name } = WORDS.exec(text)?.groups ?? {};
  if (provider === undefined || name === undefined)
    throw new ErrnoError(
      'EINVAL',
      `Cannot take "${text}": a static probe is sdt:PROVIDER:NAME or sdt:PATH:PROVIDER:NAME`,
    );
  const bodies = new Map<string, string>();
  const notes: string[] = [];
  for (const file of path === undefined ? mappedFiles(pids) : [path]) {
    for (const { command, omitted } of sitesIn(file, provider, name)) {
      const [event = '', place = '', ...fetched] = command.split(' ');
      if (bodies.size < SITES_MAX) bodies.set(`${place} ${fetched.join(' ')}`.trimEnd(), event);
      if (omitted.length > 0)
        notes.push(`${provider}:${name} at ${place}: arguments ${omitted.join(', ')} cannot be fetched`);
    }
  }
  if (bodies.size === 0)
    throw new ErrnoError(
      'ENOENT',
      `Cannot find ${provider}:${name}: ${path === undefined ? 'no process that may be probed has mapped a file with' : `${path} has not got`} such a static probe`,
    );
  return { commands: numbered(bodies), notes };
}

/** Gives sites with the same arguments the same event. */
function numbered(bodies: ReadonlyMap<string, string>): string[] {
  const numberBySignature = new Map<string, number>();
  return [...bodies].map(([body, event]) => {
    // Expressions may differ, names and types may not.
    const signature = body.replaceAll(/^\S+| \S+=|=\S*(?=:)/g, (words) => (words.endsWith('=') ? words : ''));
    const number = numberBySignature.get(signature) ?? numberBySignature.size;
    numberBySignature.set(signature, number);
    return `${event}${number === 0 ? '' : `_${number}`} ${body}`;
  });
}

function mappedFiles(pids: readonly number[]): string[] {
  const paths = new Set<string>();
  for (const pid of pids) {
    for (const { isExecutable, path } of mappingsOf(pid)) {
      if (isExecutable && isFile(path) && paths.size < FILES_MAX) paths.add(path);
    }
  }
  return [...paths];
}

/** Whether it is one, that has not been removed. */
function isFile(path: string): boolean {
  return path.startsWith('/') && !path.endsWith(' (deleted)');
}

function mappingsOf(pid: number): ReturnType<typeof readMappings> {
  try {
    return readMappings(pid);
  } catch {
    return [];
  }
}

function sitesIn(
  path: string,
  provider: string,
  name: string,
): { command: string; omitted: readonly number[] }[] {
  try {
    const system = Buffer.from(path, 'latin1').toString();
    if (statSync(system).size > FILE_BYTES_MAX) return [];
    const file = new ElfFile(readFileSync(system));
    return sdtSites(file)
      .filter((site) => site.provider === provider && site.name === name)
      .flatMap((site) => sdtDefinition(site, path, file) ?? []);
  } catch (error) {
    // A file that is gone, unreadable or no program has no sites.
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return [];
    throw error;
  }
}
