/** The real `trace-cmd`, where it is installed, to compare with. */

import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFiles } from './file-port.ts';
import type { MemoryFiles } from './memory-files.sim.ts';
import { reportText } from './report/report-text.ts';
import { TraceDatFile } from './trace-dat/trace-dat-file.ts';

const TIMEOUT_MS = 60_000;

/** Whether there is a trace-cmd of the version that our layout follows, or a later one of its line. */
export const hasTraceCmd: boolean = / version 3\./.test(
  spawnSync('trace-cmd', ['--version'], { encoding: 'latin1', timeout: TIMEOUT_MS }).stdout ?? '',
);

/** A folder for the files of one test file; call `remove` at its end. */
export function testFolder(): { path: (name: string) => string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'usertrace-formats-'));
  return {
    path: (name) => join(folder, name),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Runs trace-cmd; throws when it fails, crashes or hangs. */
export function traceCmd(...args: string[]): string {
  const { status, signal, stdout, stderr } = spawnSync('trace-cmd', args, {
    encoding: 'latin1',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`trace-cmd ${args.join(' ')}: ${status ?? signal}: ${stderr}`);
  return stdout;
}

/** What `trace-cmd report` prints, line by line; no plugins, so that formats alone decide. */
export function traceCmdLines(path: string): string[] {
  return traceCmd('report', '-N', path).split('\n').slice(0, -1);
}

/** Our report, split where trace-cmd's is: texts in events may hold line ends. */
export function ourLines(path: string): string[] {
  const file = nodeFiles().openToRead(path);
  try {
    return [...reportText(TraceDatFile.read(file))].join('\n').split('\n');
  } finally {
    file.close();
  }
}

/** Writes a file from memory to the disk, with its holes. */
export function materialize(files: MemoryFiles, name: string, path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (const [index, page] of files.pagesOf(name)) writeSync(fd, page, 0, page.length, index * page.length);
    ftruncateSync(fd, files.openToRead(name).size());
  } finally {
    closeSync(fd);
  }
}
