/** `usertrace snapshot`: what the flight recorder of a running process holds, into a file. */

import { dumpLanes, findProcesses, type LaneDump } from '@usertrace/recording';
import { Failure } from '../failure.ts';
import { anyEventMatcher } from '../pattern.ts';
import { outputFailure } from '../recording/output-failure.ts';
import { counted } from '../recording/quantities.ts';
import { readVersion } from '../version.ts';

/** What `usertrace snapshot` was asked for. */
export interface SnapshotOptions {
  readonly output?: string;
  readonly event?: readonly string[];
  readonly json?: true;
}

/**
 * Writes what is there, and leaves everything as it is.
 *
 * @throws {Failure} when the process has nothing, or the file cannot be written
 */
export async function snapshot(pid: number, options: SnapshotOptions): Promise<void> {
  const path = options.output ?? `trace-${pid}.dat`;
  const found = findProcesses({ state: 'alive', access: 'read', pid });
  try {
    const files = found.processes.flatMap((process) => process.files);
    for (const warning of found.warnings) process.stderr.write(`usertrace: ${warning}\n`);
    if (files.length === 0) {
      throw new Failure(
        `process ${pid} has no tracepoints, or is not yours; \`usertrace list\` shows which have`,
      );
    }
    const choice = options.event === undefined ? undefined : { matches: anyEventMatcher(options.event) };
    const dump = await dumpLanes(files, path, readVersion(), choice).catch((error: unknown) => {
      throw outputFailure(error, path);
    });
    describe(dump, path, options.json === true);
    if (dump.events === 0) {
      throw new Failure(
        `process ${pid} has recorded nothing; switch events on with \`usertrace enable -p ${pid} PATTERN\``,
      );
    }
  } finally {
    found.close();
  }
}

/** Prints what a dump holds. */
export function describe(dump: LaneDump, path: string, isJson: boolean, about: object = {}): void {
  for (const warning of dump.warnings) process.stderr.write(`usertrace: ${warning}\n`);
  if (isJson) {
    const { events, lost, overwritten, threads, damagedPages } = dump;
    process.stdout.write(
      `${JSON.stringify({ file: path, ...about, events, lost, overwritten, threads, damagedPages })}\n`,
    );
    return;
  }
  const damage = dump.damagedPages > 0 ? `, ${counted(dump.damagedPages, 'damaged page')}` : '';
  const older = dump.overwritten > 0 ? `, ${counted(dump.overwritten, 'older one')} overwritten` : '';
  const lost = dump.lost > 0 ? `, ${counted(dump.lost, 'event')} lost in between` : '';
  process.stdout.write(
    `${path}: ${counted(dump.events, 'event')} of ${counted(dump.threads, 'thread')}${older}${lost}${damage}\n`,
  );
}
