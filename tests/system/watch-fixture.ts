/** The built `usertrace watch`, and strace, run to their ends or until told. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { Child, type Finished, finish } from '../support/child.ts';
import { USERTRACE } from '../support/server.ts';

/** What --json prints a line of. */
export interface Row {
  readonly time: number;
  readonly pid: number;
  readonly tid: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Runs it to its end. */
export function watch(...args: readonly string[]): Promise<Finished> {
  return finish(process.execPath, [USERTRACE, 'watch', ...args], { env: environment() });
}

/** Starts it; it is killed with the test. */
export function startWatch(...args: readonly string[]): Child {
  const child = new Child(process.execPath, [USERTRACE, 'watch', ...args], { env: environment() });
  onTestFinished(async () => {
    await child.kill();
  });
  return child;
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}

/** The lines of --json. */
export function rowsOf({ stderr }: Pick<Finished, 'stderr'>): Row[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row);
}

/** Runs it to its end with --json. */
export async function rows(...args: readonly string[]): Promise<Row[]> {
  const finished = await watch('--json', ...args);
  return rowsOf(finished);
}

/** A folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'usertrace-watch-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs strace to the end of a command; its lines. */
export async function strace(options: readonly string[], command: readonly string[]): Promise<string[]> {
  const file = path.join(temporaryFolder(), 'strace.txt');
  await finish('strace', ['-f', '-s', '4096', '-o', file, ...options, ...command], { env: environment() });
  return readFileSync(file, 'utf8').split('\n');
}
