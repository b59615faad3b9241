/**
 * `usertrace trace -e DEFINITION` beside the kernel's own uprobes: the same definitions, the same program, the same lines.
 *
 * Two things that Linux 6.18 prints are not among the definitions, since they are not what was asked for: a text of the definition
 * (`\"text"`) is always `(fault)`, and a text that is not readable takes the place of the one behind it.
 */
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileIdentity, FileSymbols, parseDefinition, ProbeTracer } from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { cProgramCopy } from '../support/c-programs.ts';
import { finish } from '../support/child.ts';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import { missing } from '../support/requirements.ts';
import { TracepointWorld } from '../support/tracepoints.ts';
import { needs } from './fixture.ts';

const READER = { read: (file: string): Uint8Array => readFileSync(file) };

/** A definition, less its event's name and its file. */
interface Definition {
  readonly kind: 'p' | 'r';
  /** The function, and what is added to its offset. */
  readonly place: string;
  readonly words: string;
}

/** Of probed_values(number, text, values, bad) in tests/programs/probe-values.c, which is not relocated: addresses are always the same. */
const ENTRY_WORDS = [
  '',
  'a=%di',
  '%di %si:u8 %dx:u8',
  'a=%di:s8 b=%di:u16 c=%di:s32 d=%di:x64 e=%di:u64 f=%di:x8',
  'ip=%ip cs=%cs ss=%ss back=$stack0 low=$stack0:u16',
  'sp=%sp stack=$stack bp=%bp:u8',
  'low=$stack1:u8 at=+0($stack):x64 back=+0(%sp):x32',
  'text=+0(%si):string',
  'text=+u0(%si):ustring first=+0(%si):u8 second=+1(%si):char',
  'name=$comm',
  'a=\\5 b=\\-7:s32 c=\\0xff:u8 d=\\0x1234:x16',
  'tiny=+0(%dx):s8 small=+2(%dx):s16 medium=+4(%dx):s32 large=+8(%dx):s64',
  'tiny=+0(%dx):u8 small=+2(%dx):u16 medium=+4(%dx):x32 large=+8(%dx):x64 again=+8(%dx)',
  'one=+0(+16(%dx)):string two=+0(+24(%dx)):string none=+0(+32(%dx)):string',
  'letter=+0(+0(+16(%dx))):char number=+1(+16(%dx)):x16',
  'bytes=+40(%dx):u8[4] signed=+40(%dx):s8[4] pairs=+40(%dx):x16[2] words=+40(%dx):u32[1]',
  'letters=+44(%dx):char[5]',
  'inner=+44(%dx):string number=%di:s32 again=+44(%dx):string',
  'bits=+60(%dx):b4@8/32 more=+60(%dx):b17@3/32 top=+60(%dx):b1@31/32',
  'low=%di:b8@0/8 high=%di:b5@40/64 one=%di:b1@1/16',
  'magic=@0x400000:x32 letters=@0x400001:char[3] nowhere=@0x10:u64',
  'magic=@+0:x32 kind=@+4:u8[4]',
  'far=+8(@0x400000):u8 wrong=+0(%cx):u16',
  'right=+0(%si):string wrong=+0(%cx):string',
  'wrong=+0(%cx):u8[4] number=%di:s32',
  'a=%di:s32 b=%di:s32 c=%di:s32 d=%di:s32 e=%di:s32 f=%di:s32 g=%di:s32 h=%di:s32 i=%di:s32 j=%di:s32 k=%di:s32 l=%di:s32',
  'text=+0(%si):string inner=+44(%dx):string one=+0(+16(%dx)):string number=%di:s64 bits=+60(%dx):b4@8/32 name=$comm',
  'texts=+16(%dx):string[3]',
  'number=%di:s64 pair=+24(%dx):ustring[2]',
];
const RETURN_WORDS = ['', 'value=$retval', 'value=$retval:s32 name=$comm', 'low=$retval:b4@1/8 fixed=\\3:u8'];

function definitions(entryWords: readonly string[]): Definition[] {
  return [
    ...entryWords.map((words): Definition => ({ kind: 'p', place: 'probed_values', words })),
    { kind: 'p', place: 'main', words: 'count=%di:s32' },
    ...RETURN_WORDS.map((words): Definition => ({ kind: 'r', place: 'probed_values', words })),
    { kind: 'r', place: 'main', words: 'value=$retval:s32' },
  ];
}

describe.each([
  { by: 'jump', all: definitions(ENTRY_WORDS) },
  // All together, since they are at one place.
  { by: 'breakpoint', all: definitions([...ENTRY_WORDS, BREAKPOINT_WORDS]) },
])('lines of probes by $by', ({ by, all }) => {
  let world: TracepointWorld | undefined;
  let program = '';
  /** By event. */
  let ours: Map<string, string[]> = new Map();
  let kernels: Map<string, string[]> = new Map();
  const lacking = missing('root', 'cc', 'kernel-uprobes');

  beforeAll(async () => {
    if (lacking !== undefined) return;
    world = await TracepointWorld.make();
    program = cProgramCopy('tests/programs/probe-values.c', world.folder);
    ours = await ourLines(world, program, all);
    kernels = await kernelLines(program, all);
  });
  afterAll(() => world?.end());

  it('are of such probes', async (context) => {
    needs(context, 'root', 'cc');
    const entries = all.filter(({ kind, place }) => kind === 'p' && place === 'probed_values');
    expect(await kindsOf(program, entries)).toEqual([by]);
  });

  it.for(all.map((definition, index) => ({ ...definition, event: eventOf(index) })))(
    "are the kernel's: $kind $place $words",
    ({ event }, context) => {
      needs(context, 'root', 'cc', 'kernel-uprobes');
      expect(ours.get(event)).toEqual(kernels.get(event));
      expect(kernels.get(event)?.length).toBeGreaterThan(0);
    },
  );
});

function eventOf(index: number): string {
  return `event${index}`;
}

/** The same environment for both, and no random addresses: there are values of the stack pointer in lines. */
function command(program: string): string[] {
  return ['/usr/bin/env', '-i', '/usr/bin/setarch', '-R', program];
}

async function ourLines(
  world: TracepointWorld,
  program: string,
  all: readonly Definition[],
): Promise<Map<string, string[]>> {
  const options = all.flatMap(({ kind, place, words }, index) => [
    '-e',
    `${kind}:lines/${eventOf(index)} ${program}:${place} ${words}`,
  ]);
  const { status, stdout, stderr } = await world.run('trace', ...options, '--', ...command(program));
  if (status !== 0) throw new Error(`trace ended with ${status}: ${stderr}`);
  return byEvent(stdout.split('\n'));
}

async function kernelLines(program: string, all: readonly Definition[]): Promise<Map<string, string[]>> {
  const symbols = FileSymbols.open(program, READER);
  using kernel = new KernelUprobes();
  for (const [index, { kind, place, words }] of all.entries()) {
    const offset = symbols?.functionOffset(place);
    if (offset === undefined) throw new Error(`${place} is not there`);
    kernel.add(eventOf(index), program, offset, words, kind);
  }
  kernel.enable(true, true);
  const [name = '', ...args] = command(program);
  const { status, stderr } = await finish(name, args);
  if (status !== 0) throw new Error(`the program ended with ${status}: ${stderr}`);
  kernel.enable(false, true);
  // One byte a character, where the other has read UTF-8.
  return byEvent(kernel.lines.map((line) => Buffer.from(line, 'latin1').toString('utf8')));
}

/** What the probes are while the program runs. */
async function kindsOf(program: string, all: readonly Definition[]): Promise<string[]> {
  const kinds = new Set<string>();
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => kinds.add(String(reason)));
  for (const [index, { kind, place, words }] of all.entries()) {
    const definition = parseDefinition(`${kind}:lines/${eventOf(index)} ${program}:${place} ${words}`, {
      look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
      functionOffset: (file, name) => FileSymbols.open(file, READER)?.functionOffset(name),
    });
    if (definition !== undefined) await tracer.add(definition, () => undefined);
  }
  tracer.spawn({ command: program });
  // What happens to the program happens in turns of this thread, and there is a look between any two.
  while (utrace.taskCount > 0) {
    for (const { kind } of tracer.places()) kinds.add(kind);
    await nextTurn();
  }
  await tracer.close();
  return [...kinds];
}

/** What lines say behind the event. */
function byEvent(lines: readonly string[]): Map<string, string[]> {
  const texts = new Map<string, string[]>();
  for (const line of lines) {
    const [, event, text = ''] = /\b(event\d+): +(.*)$/u.exec(line) ?? [];
    if (event === undefined) continue;
    const known = texts.get(event) ?? [];
    texts.set(event, known);
    known.push(text);
  }
  return texts;
}
