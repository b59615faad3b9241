/**
 * Records of probes beside those of the kernel's own uprobes: the same definition, the same program, the same fields and text.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { EventFilter, type FilteredRecord } from '@usertrace/abi';
import { eventMatcher } from '@usertrace/base';
import { nodeFiles, RecordingFile, reportJson, TraceDatFile } from '@usertrace/formats';
import { ProbeProviders, Recording, recordingFiles } from '@usertrace/recording';
import {
  definitionLine,
  fileIdentity,
  FileSymbols,
  filterFields,
  parseDefinition,
  type ProbeDefinition,
  probeFormatText,
  ProbeTracer,
  RecordEncoder,
} from '@usertrace/uprobes';
import { openUtrace } from '@usertrace/utrace';
import { afterAll, describe, expect, it } from 'vitest';
import { BREAKPOINT_WORDS } from '../support/breakpoint-words.ts';
import { cProgramCopy } from '../support/c-programs.ts';
import { needs } from './fixture.ts';

const TRACEFS = '/sys/kernel/tracing';
const GROUP = `usertrace_records_${process.pid}`;
const WORDS = [
  'number=%di:s64 low=%di:u8 hex=%di signed=%di:s16 text=+0(%si):string bad=+0(%cx):string',
  'tiny=+0(%dx):s8 small=+2(%dx):s16 medium=+4(%dx):s32 large=+8(%dx):s64 first=+0(+16(%dx)):string texts=+16(%dx):string[3]',
  'badnumber=+0(%cx):u32 bytes=+40(%dx):u8[4] pairs=+40(%dx):x16[2] inner=+44(%dx):string letter=+44(%dx):char field=+60(%dx):b4@8/32 bits=+60(%dx):b17@3/32',
  'comm=$comm constant=\\-7:s32 stack=$stack0:u8 three=%di:x32 many=+44(%dx):u8[16]',
];

const FILTERED_WORDS =
  'number=%di:s64 low=%di:u8 signed=%di:s16 text=+0(%si):string tiny=+0(%dx):s8 field=+60(%dx):b4@8/32 bytes=+40(%dx):u8[4] many=+44(%dx):u8[16]';
const TEXTS_WORDS = 'number=%di:s64 first=+16(%dx):string[3]';
const TEXTS_FILTERS = ['first == "one"', 'first ~ "t*"', '!(number & 1) && first != "x"'];
const FILTERS = [
  'number == 3',
  'number < 0',
  'number > 4 && number <= 9',
  'number >= 0x200000000 || number == -1',
  'number & 6',
  'low == 258',
  'low > 200',
  'low & 0x101',
  'signed == -3',
  'signed == 65533',
  'signed < -5 && !(low & 1)',
  'tiny < 0',
  'tiny == 507',
  'field == 14',
  'field > 20',
  'bytes == 4278387201',
  'bytes < 0',
  'many == 0',
  '!(many == 0)',
  'text == "text"',
  'text == ""',
  'text != "text"',
  'text ~ "!t*"',
  'text ~ "*t"',
  'text ~ "*e*"',
  'text ~ "t?x[s-u]"',
  'text ~ "t*"',
  'text ~ "*x*"',
  'text ~ "t?xt"',
  'text ~ "[a-t]ext"',
  'text ~ "tex"',
  'text ~ "*ASCII"',
  'text ~ "yy*"',
  'COMM == "probe-values"',
  'comm ~ "probe*" && number == 2',
  'COMM == "x"',
  'cpu >= 0',
  'common_pid > 0',
  'common_pid == 1',
  '__probe_ip > 0',
  '!number == 2',
  '!!(number == 2)',
  'number == 1 || number == 2 && text == "text"',
  '(number == 1 || number == 2) && text == ""',
  'number == 1 &&',
];

const folder = mkdtempSync(join(tmpdir(), 'usertrace-records-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('records of probes', () => {
  it.for(WORDS)('are those of the kernel: %s', async (words, context) => {
    needs(context, 'root', 'cc', 'trace-cmd', 'kernel-uprobes');
    const program = cProgramCopy('tests/programs/probe-values.c', folder);
    const definition = definitionOf(program, words);
    const ours = await ourRecording(definition);
    const kernels = await kernelRecording(definition);
    const [fields, text] = [fieldsOf(ours), linesOf(ours)];
    expect(fields).toHaveLength(120);
    expect(fields).toEqual(fieldsOf(kernels));
    expect(text).toEqual(linesOf(kernels));
  });

  it.for([
    { kind: 'jump' as const, words: FILTERED_WORDS, filters: FILTERS },
    { kind: 'jump' as const, words: TEXTS_WORDS, filters: TEXTS_FILTERS },
    { kind: 'breakpoint' as const, words: `${TEXTS_WORDS} ${BREAKPOINT_WORDS}`, filters: TEXTS_FILTERS },
  ])(
    'pass the filters that they pass in the kernel, by $kind: $words',
    { timeout: 120_000 },
    async ({ kind, words, filters }, context) => {
      needs(context, 'root', 'cc', 'kernel-uprobes');
      const definition = definitionOf(cProgramCopy('tests/programs/probe-values.c', folder), words);
      for (const text of filters) {
        const filter = EventFilter.parse(text, filterFields(definition), 1);
        if (filter === undefined) throw new Error(text);
        const hits = await ourHits({ ...definition, filter }, kind);
        const ours = hits.filter((hit) => filter.matches(hit)).map(numberOf);
        const kernels = fieldsOf(await kernelRecording(definition, text));
        expect({ text, numbers: ours }).toEqual({
          text,
          numbers: kernels.map(({ fields }) => fields['number']),
        });
      }
    },
  );
});

function definitionOf(program: string, words: string): ProbeDefinition {
  const reader = { read: (file: string) => readFileSync(file) };
  const definition = parseDefinition(`p:${GROUP}/values ${program}:probed_values ${words}`, {
    look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
    functionOffset: (file, name) => FileSymbols.open(file, reader)?.functionOffset(name),
  });
  if (definition === undefined) throw new Error('no definition');
  return definition;
}

interface RecordedHit extends FilteredRecord {
  readonly length: number;
  readonly tgid: number;
  readonly timeNs: bigint;
}

/** @returns the records of the program's hits, by our own probes */
async function ourHits(definition: ProbeDefinition, kind?: 'jump' | 'breakpoint'): Promise<RecordedHit[]> {
  const encoder = new RecordEncoder(definition);
  const hits: RecordedHit[] = [];
  const refusals: unknown[] = [];
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
  const kinds = new Set<string>();
  await tracer.add(definition, ({ address, values, tid, tgid, comm, timeNs }) => {
    for (const place of tracer.places()) kinds.add(place.kind);
    const length = encoder.encodeValues([BigInt(address)], values);
    const bytes = Uint8Array.from(encoder.bytes.subarray(0, (length + 3) & ~3));
    const record = new DataView(bytes.buffer);
    // A jump's hit is read when the program may have ended: then the name is the program's, for who knows that.
    const name = comm === '' ? basename(definition.path) : comm;
    hits.push({ record, length, tid, tgid, comm: name, cpu: 0, timeNs });
  });
  const [input, output] = [openSync('/dev/null', 'r'), openSync('/dev/null', 'w')];
  tracer.spawn({ command: definition.path, args: [], stdio: [input, output, 2] });
  closeSync(input);
  closeSync(output);
  await utrace.untilEmpty();
  await tracer.close();
  expect(refusals).toEqual([]);
  if (kind !== undefined) expect([...kinds, kind]).toEqual(kinds.size === 0 ? [kind] : [kind, kind]);
  return hits;
}

/** @returns the recording of the program's hits, by our own probes, through a provider file */
async function ourRecording(definition: ProbeDefinition): Promise<string> {
  const path = join(folder, 'ours.dat');
  const hits = await ourHits(definition);
  const [first] = hits;
  if (first === undefined) throw new Error('no hit');
  const providers = new ProbeProviders(folder, 64);
  const provider = providers.create({ pid: first.tgid, startTicks: 1, comm: first.comm });
  const index = provider.add({ system: GROUP, formatText: (id) => probeFormatText(definition, id) });
  provider.setThreadName(first.tid, first.comm);
  const warnings: string[] = [];
  const recording = new Recording({
    path,
    version: 'test',
    patterns: ['*'],
    matches: eventMatcher('*'),
    // Hits are older than the session.
    beginning: 0n,
    mode: 'discard',
    wantsProcess: () => true,
    warn: (message) => warnings.push(message),
    surroundings: { uid: 0, environment: { USERTRACE_RUNTIME_DIR: folder } },
  });
  recording.turn();
  for (const { tid, timeNs, record, length } of hits) {
    provider.write(index, tid, timeNs, new Uint8Array(record.buffer), length);
  }
  await recording.finish();
  providers.close();
  expect(warnings).toEqual([]);
  return path;
}

/** @returns the recording of the program's hits by the kernel's probes: its own pages and format */
async function kernelRecording(definition: ProbeDefinition, filter = '0'): Promise<string> {
  const path = join(folder, 'kernel.dat');
  const instance = `${TRACEFS}/instances/${GROUP}`;
  const system = `${instance}/events/${GROUP}`;
  const command = definitionLine(definition);
  writeFileSync(`${TRACEFS}/uprobe_events`, `${command}\n`, { flag: 'a' });
  mkdirSync(instance);
  try {
    const recording = RecordingFile.create(
      path,
      { uname: 'Linux', version: 'usertrace test', traceId: 1n },
      recordingFiles(),
    );
    recording.addFormat({ system: GROUP, text: readFileSync(`${system}/values/format`, 'latin1') });
    writeFileSync(`${system}/values/filter`, filter);
    writeFileSync(`${system}/enable`, '1');
    execFileSync(definition.path);
    writeFileSync(`${system}/enable`, '0');
    for (const cpu of readdirSync(`${instance}/per_cpu`)) {
      const pages = readPages(`${instance}/per_cpu/${cpu}/trace_pipe_raw`);
      if (pages.length > 0) recording.append(recording.addLane(), pages);
    }
    await recording.finish();
  } finally {
    rmdirSync(instance);
    writeFileSync(`${TRACEFS}/uprobe_events`, `-:${GROUP}/values\n`, { flag: 'a' });
  }
  return path;
}

function readPages(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const pages: Buffer[] = [];
  try {
    for (;;) {
      const page = Buffer.alloc(4096);
      if (readSync(fd, page) === 0) break;
      pages.push(page);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  } finally {
    closeSync(fd);
  }
  return Buffer.concat(pages);
}

/** The first argument of a record. */
function numberOf({ record }: RecordedHit): number {
  return Number(record.getBigInt64(16, true));
}

function fieldsOf(path: string): { fields: Record<string, unknown>; lost: unknown }[] {
  const file = nodeFiles().openToRead(path);
  const events = [...reportJson(TraceDatFile.read(file))].flatMap(({ event, fields = {}, lost }) =>
    event === 'values' ? [{ fields, lost }] : [],
  );
  file.close();
  return events;
}

/** What trace-cmd prints behind the time. */
function linesOf(path: string): string[] {
  const text = execFileSync('trace-cmd', ['report', '-i', path], {
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return text.split('\n').flatMap((line) => / values: +(.*)$/u.exec(line)?.[1] ?? []);
}
