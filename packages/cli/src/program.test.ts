import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from './program.ts';

/** Parses arguments and answers what was printed and how parsing ended. */
async function parse(
  ...words: string[]
): Promise<{ output: string; errors: string; exitCode: number | undefined }> {
  let output = '';
  let errors = '';
  const program = createProgram();
  for (const command of [program, ...program.commands]) {
    command.configureOutput({
      writeOut: (text) => (output += text),
      writeErr: (text) => (errors += text),
    });
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return { output, errors, exitCode: undefined };
  } catch (error) {
    return { output, errors, exitCode: (error as CommanderError).exitCode };
  }
}

describe('createProgram()', () => {
  it.each([
    [['nosuch'], 'unknown command'],
    [['serve', '--nosuch'], 'unknown option'],
    [['serve', '--mode', '9'], 'three octal digits'],
    [['serve', '--max-events', '0'], 'from 1 up'],
    [['serve', '--max-events', '100000'], 'at most'],
    [['run'], 'missing required argument'],
    [['run', '--nosuch', '--', 'ls'], 'unknown option'],
    [['enable'], 'missing required argument'],
    [['trace', '-n', 'many'], 'from 1 up'],
    [['record', '--duration', 'soon'], 'such as 10s'],
    [['record', '--overwrite', '0'], 'such as 512K'],
    [['record', '-p', 'all'], 'from 1 up'],
    [['report', '--from', 'noon'], 'must be seconds'],
    [['snapshot'], 'missing required argument'],
    [['top', '-i', '0'], 'such as 10s'],
    [['watch', '-p', 'all'], 'from 1 up'],
    [['list', '--pid', '1', '--mount', '/a'], 'cannot be used with'],
  ])('refuses %j and says how it is used', async (words, text) => {
    const { errors, exitCode } = await parse(...words);
    expect(errors).toMatch(/^usertrace: /);
    expect(errors).toContain(text);
    expect(errors).toContain('--help');
    expect(exitCode).toBe(1);
  });

  it.each([
    'serve',
    'run',
    'record',
    'report',
    'snapshot',
    'recover',
    'top',
    'watch',
    'list',
    'status',
    'enable',
    'disable',
    'trace',
    'demo',
  ])('helps with %s by examples', async (name) => {
    const { output, exitCode } = await parse(name, '--help');
    expect(output).toContain(`Usage: usertrace ${name}`);
    expect(output).toContain('Examples:');
    expect(exitCode).toBe(0);
  });

  it('prints its version', async () => {
    expect((await parse('--version')).output).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
