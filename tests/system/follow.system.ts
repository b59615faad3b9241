/** `usertrace serve --follow engine`: forks, execs and ends as traced programs tell them, against the kernel's recorded answers. */
import { readFileSync } from 'node:fs';
import { readAllowedDifferences, readScenarios } from '../conformance/scenario.ts';
import { hasPassed } from '../conformance/report.ts';
import { runScenario } from '../conformance/run-scenario.ts';
import { cProgram } from '../support/c-programs.ts';
import { inRepository } from '../support/repository.ts';
import { describe, expect, test } from 'vitest';
import { finish } from '../support/child.ts';
import { until } from '../support/wait.ts';
import { needs, SERVER_NEEDS, startChild, startProgram, startServer } from './fixture.ts';
import { stateOf, statusField, untilUndisturbed } from './utrace-fixture.ts';

const FOLLOW = ['--follow', 'engine'];
const allowed = readAllowedDifferences(inRepository('tests', 'oracle', 'differences.json'));
const scenarios = readScenarios(inRepository('tests', 'oracle', 'vectors.jsonl'));

describe('usertrace serve --follow engine', () => {
  const processes = scenarios.filter(({ name }) => name.startsWith('processes-'));
  test.for(processes.map((scenario) => ({ name: scenario.name, scenario })))(
    'answers as the kernel did in $name',
    async ({ scenario }, context) => {
      needs(context, ...SERVER_NEEDS);
      const driver = cProgram('tests/oracle/uevdrive.c');
      const outcome = await runScenario(driver, scenario, allowed, FOLLOW);
      expect(outcome.trouble).toBeUndefined();
      expect(outcome.differences.filter(({ reason }) => reason === undefined)).toEqual([]);
      expect(hasPassed(outcome)).toBe(true);
    },
  );
});

describe('a program that registers', () => {
  test('is traced with its children until the server ends, however it does', async (context) => {
    needs(context, ...SERVER_NEEDS);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const server = await startServer({ arguments: FOLLOW });
      const family = startProgram('forked-holders', server.root, 'family u32 value', '5');
      await family.line(/^ready /);
      const pids = [family.pid, ...childrenOf(family.pid)];
      expect(pids).toHaveLength(6);
      for (const pid of pids) expect(statusField(pid, 'TracerPid')).toBe(String(server.process.pid));
      await server.enable('user_events/family');
      family.say('count');
      expect(await family.line(/^set /)).toBe('set 6 of 6');
      await server.process.kill(signal);
      for (const pid of pids) await untilUndisturbed(pid);
      expect(pids.map((pid) => stateOf(pid))).not.toContain('T');
      await server.cleanUp();
    }
  });

  test('is let go when it executes another, and traced again when that registers', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer({ arguments: FOLLOW });
    const chain = cProgram('tests/programs/exec-chain.c');
    expect(await finish(chain, [server.root, '50'])).toMatchObject({ status: 0, stdout: 'done\n' });
    const program = startChild([chain, server.root, '-1']);
    await program.line(/^registers/);
    await until('it executes cat', () => statusField(program.pid, 'Name') === 'cat');
    await untilUndisturbed(program.pid);
    program.say('still there');
    expect(await program.line()).toBe('still there');
    expect(server.process.stderr).toBe('');
  });

  test('and has another tracer is followed by searching, which is said', async (context) => {
    needs(context, ...SERVER_NEEDS, 'strace');
    const server = await startServer({ arguments: FOLLOW });
    const holders = cProgram('tests/programs/forked-holders.c');
    const family = startChild(['strace', '-o', '/dev/null', holders, server.root, 'family u32 value', '5']);
    await family.line(/^ready /);
    await server.enable('user_events/family');
    family.say('count');
    expect(await family.line(/^set /)).toBe('set 6 of 6');
    expect(server.process.stderr).toMatch(
      /process \d+ is followed by searching \/proc.*strace \(process \d+\) traces it/,
    );
  });
});

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
