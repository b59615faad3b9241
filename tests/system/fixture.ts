/**
 * What the system tests share: skipping in view, and servers and programs that end with their test.
 */
import { isInTime } from '@usertrace/base';
import { onTestFinished, type TestContext } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { Child, type Ending, type Finished, finish } from '../support/child.ts';
import { missing, type Requirement } from '../support/requirements.ts';
import { Server, type ServerOptions } from '../support/server.ts';

/** An ordinary user that every system has: nobody. */
const ORDINARY_USER_ID = 65_534;

/** How many times longer the campaigns run than in CI: `USERTRACE_SCALE`, which `npm run soak` sets. */
export const SCALE = Number(process.env['USERTRACE_SCALE'] ?? 1);
/** The deadline of a campaign. */
export const CAMPAIGN_TIMEOUT_MS: number = 240_000 * SCALE;

/** What a test with a server and C programs needs. */
export const SERVER_NEEDS: readonly Requirement[] = ['root', 'fuse', 'cc'];

/**
 * Skips the rest of a test on a machine that lacks something; the reporter prints what.
 */
export function needs(context: TestContext, ...requirements: readonly Requirement[]): void {
  const lacking = missing(...requirements);
  if (lacking !== undefined) context.skip(lacking);
}

/** Starts a server that stops with the test, unless the test stopped it. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const server = await Server.start(options);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** Starts one of tests/programs, which is killed with the test. */
export function startProgram(name: string, ...args: readonly string[]): Child {
  return startChild([cProgram(`tests/programs/${name}.c`), ...args]);
}

/** Starts a command, which is killed with the test. */
export function startChild([command = '', ...args]: readonly string[]): Child {
  const child = new Child(command, args);
  onTestFinished(async () => {
    await child.kill();
  });
  return child;
}

/** Runs one of tests/programs to its end. */
export function runProgram(name: string, ...args: readonly string[]): Promise<Finished> {
  return finish(cProgram(`tests/programs/${name}.c`), args);
}

/** The command line that runs a command as an ordinary user, without groups and capabilities. */
export function asOrdinaryUser(...command: readonly string[]): [string, string[]] {
  const user = [`--reuid=${ORDINARY_USER_ID}`, `--regid=${ORDINARY_USER_ID}`, '--clear-groups'];
  return ['setpriv', [...user, '--', ...command]];
}

/** Runs a command as an ordinary user. */
export function finishAsOrdinaryUser(...command: readonly string[]): Promise<Finished> {
  const [setpriv, args] = asOrdinaryUser(...command);
  return finish(setpriv, args, { cwd: '/', env: { ...process.env, HOME: '/tmp' } });
}

/** Runs a shell script with the server's root in $ROOT. */
export function shell(server: Server, script: string, timeoutMs?: number): Promise<Finished> {
  const options = { env: { ...process.env, ROOT: server.root, LC_ALL: 'C' } };
  return finish('sh', ['-c', script], timeoutMs === undefined ? options : { ...options, timeoutMs });
}

/**
 * How a program ended that must end by itself.
 *
 * @throws {Error} when it still runs after `timeoutMs`
 */
export async function endedWithin(child: Child, timeoutMs: number): Promise<Ending> {
  if (await isInTime(child.ended, timeoutMs)) return child.ended;
  throw new Error(`Process ${child.pid} still runs after ${timeoutMs} ms`);
}
