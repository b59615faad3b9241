/** Commands get the words and the environment that they were given, byte for byte: also what is no UTF-8, which Node cannot hold. */
import { chmod, stat } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { finish } from '../support/child.ts';
import { missing, type Requirement } from '../support/requirements.ts';
import { USERTRACE } from '../support/server.ts';
import { asOrdinaryUser, needs } from './fixture.ts';

/** Prints in hexadecimal all that the kernel gave it. `_` is the shell's own. */
const REPORT =
  'od -An -v -tx1 /proc/$$/cmdline; tr "\\0" "\\n" </proc/$$/environ | grep -av "^_=" | LC_ALL=C sort | od -An -v -tx1; exit 3';
/** Latin-1, a cut sequence, a surrogate, the character that Node has instead, and text. */
const WORDS = [
  'caf\\351',
  '\\303',
  '\\355\\240\\200',
  '\\357\\277\\275',
  'gr\\303\\266\\303\\237er',
  '',
  '--',
  '-x\\377',
];
/** A shell's words for bytes, as printf(1) has them. */
const words = WORDS.map((word) => `"$(printf -- '${word}')"`).join(' ');
/** Executes the reporter, with $@ in front of it. */
const SCRIPT = [
  'export VALUE="$(printf \'v\\377\')" TEXT="$(printf \'gr\\303\\266\\303\\237er\')"',
  `exec env "$(printf 'N\\351=named')" "$@" sh -c '${REPORT}' sh ${words}`,
].join('; ');

/** What the reporter prints, behind a command that starts it. */
async function report(user: 'root' | 'nobody', ...command: readonly string[]): Promise<string> {
  const line = ['sh', '-c', SCRIPT, 'sh', ...command];
  const [file = '', ...args] = user === 'root' ? line : asOrdinaryUser(...line).flat();
  const { status, stdout, stderr } = await finish(file, args, { cwd: '/' });
  expect({ status, stderr }).toMatchObject({ status: 3 });
  return stdout;
}

let modeBefore: number | undefined;

beforeAll(async () => {
  if (missing('root', 'fuse') !== undefined) return;
  modeBefore = (await stat('/dev/fuse')).mode & 0o777;
  await chmod('/dev/fuse', 0o666);
});

afterAll(async () => {
  if (modeBefore !== undefined) await chmod('/dev/fuse', modeBefore);
});

const ORDINARY: readonly Requirement[] = ['root', 'fuse', 'setpriv', 'user-namespaces'];

test.for([
  { name: 'watch', user: 'root', options: ['watch', '-e', 'exit'], needed: [] },
  { name: 'watch with a filter', user: 'root', options: ['watch', '-e', 'syscall:mount'], needed: [] },
  { name: 'run', user: 'root', options: ['run', '-q'], needed: ['root', 'fuse'] },
  {
    name: 'run --follow engine',
    user: 'root',
    options: ['run', '-q', '--follow', 'engine'],
    needed: ['root', 'fuse'],
  },
  { name: 'run of an ordinary user', user: 'nobody', options: ['run', '-q'], needed: ORDINARY },
] as const)('$name gives its command every byte', async ({ user, options, needed }, context) => {
  needs(context, ...needed);
  const alone = await report(user);
  expect(alone).toContain('63 61 66 e9 00 c3 00');
  expect(await report(user, process.execPath, USERTRACE, ...options, '--')).toBe(alone);
});

test.for(['watch', 'run'])('%s finds a program whose name and folder are no UTF-8', async (name, context) => {
  if (name === 'run') needs(context, 'root', 'fuse');
  const script = [
    'folder="$(mktemp -d)"; inner="$folder/$(printf "\\351")"; program="$(printf "p\\377")"; mkdir "$inner"',
    'printf "#!/bin/sh\\nexit 5\\n" >"$inner/$program"; chmod +x "$inner/$program"',
    '"$@" "$inner/$program"; echo "by path $?"; PATH="$inner:$PATH" "$@" "$program"; echo "by name $?"',
    '"$@" "$inner/none"; echo "none $?"; rm -r "$folder"',
  ].join('; ');
  const { stdout } = await finish('sh', ['-c', script, 'sh', process.execPath, USERTRACE, name, '--']);
  expect(stdout).toBe('by path 5\nby name 5\nnone 127\n');
});
