import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { ProgramStart } from './program-image.ts';
import { StartedProgram } from './started-program.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'usertrace-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
});

/** What a program prints; it has nothing to read. */
async function printed(start: ProgramStart): Promise<Buffer> {
  const file = path.join(folder, 'printed');
  const [input, output] = [openSync('/dev/null', 'r'), openSync(file, 'w')];
  try {
    await new StartedProgram(start, [input, output, 2]).ended;
  } finally {
    closeSync(input);
    closeSync(output);
  }
  return readFileSync(file);
}

function sh(script: string): StartedProgram {
  return new StartedProgram({ command: 'sh', args: ['-c', script] });
}

it('tells how the program ended', async () => {
  expect(await sh('exit 7').ended).toMatchObject({ code: 7, signal: undefined });
  expect(await sh('kill -9 $$').ended).toMatchObject({ code: undefined, signal: 9 });
  const many = Array.from({ length: 20 }, (_, code) => sh(`exit ${code}`));
  const ends = await Promise.all(many.map(({ ended }) => ended));
  expect(ends.map(({ code }) => code)).toEqual(many.map((_, index) => index));
});

it('sends signals to the program as long as there is one', async () => {
  const program = new StartedProgram({ command: 'sleep', args: ['100'] });
  program.kill('SIGTERM');
  expect(await program.ended).toMatchObject({ signal: 15 });
  program.kill('SIGTERM');
});

it('gives the program any bytes', async () => {
  const text = fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.filter((byte) => byte !== 0));
  const texts = fc.array(
    fc.oneof(
      text,
      fc.string().map((one) => one.replaceAll('\0', '')),
    ),
    { maxLength: 20 },
  );
  await fc.assert(
    fc.asyncProperty(texts, texts, async (args, values) => {
      const env = [
        'PATH=/bin',
        ...values.map((value) => Buffer.concat([Buffer.from('V='), Buffer.from(value)])),
      ];
      const files = ['cmdline', 'environ'].map((name) => `/proc/$$/${name}`).join(' ');
      const script = `cat ${files}`;
      const expected = ['sh', '-c', script, 'sh', ...args, ...env];
      expect(await printed({ command: 'sh', args: ['-c', script, 'sh', ...args], env })).toEqual(
        Buffer.concat(expected.flatMap((one) => [Buffer.from(one), Buffer.alloc(1)])),
      );
    }),
    { numRuns: 30, seed: 7 },
  );
});

it('gives a script without a first line to the shell, as execvp does', async () => {
  const script = path.join(folder, 'script');
  writeFileSync(script, 'echo "$0 $1"\n');
  chmodSync(script, 0o755);
  expect((await printed({ command: script, args: ['argument'] })).toString()).toBe(`${script} argument\n`);
});

it('refuses what cannot be started, with the answer of execve', () => {
  const file = path.join(folder, 'broken');
  writeFileSync(file, '#!/no/such/interpreter\n');
  expect(() => new StartedProgram({ command: file })).toThrow(/EACCES/);
  chmodSync(file, 0o755);
  expect(() => new StartedProgram({ command: file })).toThrow(/ENOENT/);
  expect(() => new StartedProgram({ command: 'no-such-program' })).toThrow(
    'Cannot start "no-such-program" (ENOENT)',
  );
});

it('has the signals of the program unblocked and by default, and keeps the files that are open here', async () => {
  const status = (await printed({ command: 'cat', args: ['/proc/self/status'] })).toString();
  for (const field of ['SigBlk', 'SigIgn', 'SigCgt'])
    expect(status).toMatch(new RegExp(`^${field}:\\t0+$`, 'm'));
  const own = path.join(folder, 'own');
  const fd = openSync(own, 'w');
  onTestFinished(() => closeSync(fd));
  const files = (await printed({ command: 'ls', args: ['-l', '/proc/self/fd'] })).toString();
  expect(files).toContain('/dev/null');
  expect(files).not.toContain(own);
});
