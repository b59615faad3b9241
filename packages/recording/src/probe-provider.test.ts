import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { COMMON_FIELDS_FORMAT, PROVIDER_OFFSET } from '@usertrace/abi';
import { eventMatcher } from '@usertrace/base';
import { nodeFiles, reportText, TraceDatFile } from '@usertrace/formats';
import { startTicksOf } from '@usertrace/linux';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventRates } from './event-rates.ts';
import { dumpLanes } from './lane-dump.ts';
import type { FormatEvent } from './declared-events.ts';
import type { ProbedProcess, ProbeProvider } from './probe-provider.ts';
import { ProbeProviders } from './probe-providers.ts';
import { eventsOf, findProcesses } from './provider-processes.ts';
import { ProviderFile } from './provider-file.ts';
import { switchStanding } from './provider-session.ts';
import { makeFolder, removeFolder, surroundingsOf } from './provider.sim.ts';
import { recordedEvents, startRecording } from './recording.sim.ts';
import type { Recording, RecordingOptions } from './recording.ts';

const UID = process.getuid?.() ?? 0;
const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 100);
const PAGES = 16;
/** A process that surely runs, and is not this one. */
const OTHER: ProbedProcess = { pid: process.ppid, startTicks: startTicksOf(process.ppid), comm: 'probed' };

let folder: string;
let outputs: string;
let output: string;
let providers: ProbeProviders;
const warnings: string[] = [];
const recordings: Recording[] = [];

/** As the kernel's uprobes describe `name=%di:u32 text=+0(%si):string`. */
const event = (name: string, system = 'probes'): FormatEvent => ({
  system,
  formatText: (id) =>
    [
      `name: ${name}\nID: ${id}\nformat:\n${COMMON_FIELDS_FORMAT}\n`,
      '\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n',
      '\tfield:u32 number;\toffset:16;\tsize:4;\tsigned:0;\n',
      '\tfield:__data_loc char[] text;\toffset:20;\tsize:4;\tsigned:1;\n',
      '\nprint fmt: "(%lx) number=%u text=\\"%s\\"", REC->__probe_ip, REC->number, __get_str(text)\n',
    ].join(''),
});

function hit(provider: ProbeProvider, index: number, tid: number, number: number, text = 'abc'): boolean {
  const entry = Buffer.alloc(1024);
  entry.writeBigUInt64LE(0x401136n, 8);
  entry.writeUInt32LE(number, 16);
  entry.writeUInt32LE(24 + ((text.length + 1) << 16), 20);
  entry.write(`${text}\0`, 24, 'latin1');
  return provider.write(index, tid, process.hrtime.bigint(), entry, 24 + text.length + 1);
}

function record(pattern: string, more: Partial<RecordingOptions> = {}): Recording {
  const recording = startRecording({ folder, path: output, pattern, warnings }, more);
  recordings.push(recording);
  return recording;
}

function openAll(state: 'alive' | 'dead'): ReturnType<typeof findProcesses> {
  return findProcesses({ state, access: 'change', surroundings: surroundingsOf(folder) });
}

function listedNames(): string[] {
  const found = openAll('alive');
  const names = found.processes.flatMap(eventsOf).map((one) => one.event.name);
  found.close();
  return names;
}

beforeEach(() => {
  folder = makeFolder();
  outputs = makeFolder();
  output = join(outputs, 'trace.dat');
  providers = new ProbeProviders(folder, PAGES);
});

afterEach(() => {
  for (const recording of recordings.splice(0)) recording.abandon();
  providers.close();
  removeFolder(folder);
  removeFolder(outputs);
  expect(warnings.splice(0)).toEqual([]);
});

describe('ProbeProvider', () => {
  it('is found in the name of the probed process, with its events', () => {
    const provider = providers.create(OTHER);
    provider.add(event('open'));
    provider.add(event('close', 'files'));
    const found = openAll('alive');
    const [one] = found.processes;
    expect(one).toMatchObject({ pid: OTHER.pid, comm: 'probed' });
    const events = one === undefined ? [] : eventsOf(one).map((listed) => listed.event);
    expect(events.map(({ system, name }) => `${system}:${name}`)).toEqual(['probes:open', 'files:close']);
    expect(events[0]?.fields.map(({ type, name, offset }) => [type, name, offset])).toEqual([
      ['unsigned long', '__probe_ip', 8],
      ['u32', 'number', 16],
      ['__data_loc char[]', 'text', 20],
    ]);
    found.close();
  });

  it('is recorded with every hit of all threads, under their own ids and names, as the format prints it', async () => {
    const provider = providers.create(OTHER);
    const [open, close] = [provider.add(event('open')), provider.add(event('close'))];
    expect(provider.isOn(open)).toBe(false);
    const recording = record('probes:*');
    expect([provider.isOn(open), provider.isOn(close)]).toEqual([true, true]);
    for (let number = 0; number < 3000; number++) {
      const tid = 500 + (number % 3);
      if (number < 3) provider.setThreadName(tid, `thread ${number}`);
      expect(hit(provider, number % 2 === 0 ? open : close, tid, number, 'x'.repeat(number % 150))).toBe(
        true,
      );
      if (number % 50 === 0) recording.turn();
    }
    await recording.finish();
    const events = recordedEvents(output);
    expect(events.map(({ fields }) => (fields as { number: number }).number)).toEqual(
      Array.from({ length: 3000 }, (_, number) => number),
    );
    expect(
      events.every(
        ({ name, pid }, number) =>
          name === (number % 2 === 0 ? 'open' : 'close') && pid === 500 + (number % 3),
      ),
    ).toBe(true);
    expect(recording.totals).toMatchObject({ events: 3000, lost: 0, damagedPages: 0, processes: 0 });
    const file = nodeFiles().openToRead(output);
    const text = [...reportText(TraceDatFile.read(file))].join('\n');
    file.close();
    expect(text).toMatch(/thread 1-501 .* close: +\(401136\) number=1 text="x"/);
    const { status, stdout } = spawnSync('trace-cmd', ['report', '-i', output], { encoding: 'utf8' });
    if (status !== null) expect(stdout).toMatch(/thread 1-501 .* close: +\(401136\) number=1 text="x"/);
  });

  it('tells how many hits were lost, and where', async () => {
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    const recording = record('open');
    hit(provider, open, 7, 1);
    provider.lose(12);
    provider.lose(0);
    hit(provider, open, 7, 2);
    provider.lose(5);
    await recording.finish();
    expect(recordedEvents(output).map(({ lost }) => lost)).toEqual([undefined, 12]);
    expect(recording.totals).toMatchObject({ events: 2, lost: 17 });
  });

  it('gives a session events that are added later, and takes withdrawn ones out of sight until they are back', async () => {
    const provider = providers.create(OTHER);
    const recording = record('o*');
    const [open, other] = [provider.add(event('open')), provider.add(event('xyz'))];
    recording.turn();
    expect([provider.isOn(open), provider.isOn(other)]).toEqual([true, false]);
    hit(provider, open, 7, 1);
    provider.withdraw(open);
    expect(listedNames()).toEqual(['xyz']);
    expect(provider.add(event('open'))).toBe(open);
    expect(listedNames()).toEqual(['open', 'xyz']);
    hit(provider, open, 7, 2);
    await recording.finish();
    expect(recordedEvents(output)).toHaveLength(2);
    expect(provider.isOn(open)).toBe(false);
  });

  it('waits for a reader that must have all, and counts what has no room', async () => {
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    const recording = record('open', { mode: 'discard' });
    let written = 0;
    for (let number = 0; number < 3000; number++) if (hit(provider, open, 9, number)) written += 1;
    expect(written).toBeLessThan(3000);
    await recording.finish();
    expect(recording.totals).toMatchObject({ events: written, lost: 3000 - written });
  });

  it('refuses an event that would make its file unreadable', () => {
    const provider = providers.create(OTHER);
    const { formatText } = event('open');
    for (const system of ['no/system', 'x\ny']) {
      expect(() => provider.add({ system, formatText })).toThrow(/Cannot add the event/);
    }
    const tooLong = (id: number): string =>
      formatText(id).replace('size:4;\tsigned:1', 'size:9000;\tsigned:1');
    expect(() => provider.add({ system: 'probes', formatText: tooLong })).toThrow(/too long/);
    provider.add(event('close'));
    expect(listedNames()).toEqual(['close']);
  });

  it('is counted by top', () => {
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    const rates = new EventRates({
      request: { patterns: ['*'], matches: eventMatcher('*'), mode: 'overwrite' },
      wantsProcess: () => true,
      warn: (message) => warnings.push(message),
      surroundings: surroundingsOf(folder),
    });
    rates.turn();
    for (let number = 0; number < 100; number++) hit(provider, open, 7 + (number % 5), number);
    rates.turn();
    expect(rates.take().rates).toEqual([
      { pid: OTHER.pid, comm: 'probed', system: 'probes', event: 'open', count: 100 },
    ]);
    provider.withdraw(open);
    rates.turn();
    expect(rates.take().rates).toEqual([]);
    rates.stop();
  });
});

describe('a file of a prober', () => {
  it('is written on by its prober after somebody has written over its header', () => {
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    const fd = openSync(provider.path, 'r+');
    writeSync(fd, Buffer.from('nonsense'), 0, 8, 0);
    closeSync(fd);
    providers.turn();
    expect(hit(provider, open, 7, 1)).toBe(true);
    expect(() => ProviderFile.open(provider.path, UID)).toThrow(/does not begin as one/);
  });

  it(`is read or refused, whatever stands in it (USERTRACE_SEED=${SEED})`, async () => {
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    for (let number = 0; number < 500; number++) hit(provider, open, 7 + (number % 3), number);
    provider.setThreadName(7, 'seven');
    const good = readFileSync(provider.path);
    const places = fc.oneof(
      fc.nat(127),
      fc.integer({ min: PROVIDER_OFFSET.words, max: PROVIDER_OFFSET.words + 8 }),
      fc.integer({ min: PROVIDER_OFFSET.threadNames, max: PROVIDER_OFFSET.events + 600 }),
      fc.integer({ min: PROVIDER_OFFSET.lane, max: good.length - 1 }),
    );
    const damage = fc.array(fc.tuple(places, fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        const path = join(outputs, `${OTHER.pid}-0-1`);
        const damaged = Buffer.from(good);
        for (const [at, byte] of bytes) damaged[at] = byte;
        writeFileSync(path, damaged);
        try {
          const file = ProviderFile.open(path, UID);
          try {
            file.threadNames();
            file.withdrawnEvents();
            const { events } = await dumpLanes([file], output, 'test');
            expect(events).toBeLessThanOrEqual(500);
          } finally {
            file.close();
          }
        } catch (error) {
          expect((error as Error).message).toMatch(/^Cannot /);
        }
      }),
      { seed: SEED, numRuns: Math.min(RUNS, 1000) },
    );
  });
});

describe('ProbeProviders', () => {
  it('leaves a flight recorder for recovery, and nothing else', async () => {
    const [empty, recorded, kept] = [1, 2, 3].map(() => providers.create(OTHER));
    if (empty === undefined || recorded === undefined || kept === undefined) throw new Error('three');
    for (const provider of [empty, recorded, kept]) provider.add(event('open'));
    hit(recorded, 0, 7, 1);
    const file = ProviderFile.open(kept.path, UID, 'change');
    switchStanding(file, { patterns: ['open'], matches: eventMatcher('open') }, true);
    file.close();
    expect(kept.isOn(0)).toBe(true);
    hit(kept, 0, 8, 2);
    providers.end(empty);
    expect(existsSync(empty.path)).toBe(false);
    providers.end(recorded);
    expect(existsSync(recorded.path)).toBe(true);
    providers.close();
    expect(readdirSync(folder)).toHaveLength(1);
    const found = openAll('dead');
    const dump = await dumpLanes(
      found.processes.flatMap(({ files }) => files),
      output,
      'test',
    );
    expect(dump).toMatchObject({ events: 1, damagedPages: 0, warnings: [] });
    expect(recordedEvents(output)).toMatchObject([{ name: 'open', pid: 8 }]);
    for (const { files } of found.processes) for (const left of files) left.discard();
    found.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('removes the file of an ended process after recorders have had the time to find it', async () => {
    const beginning = process.hrtime.bigint();
    const provider = providers.create(OTHER);
    const open = provider.add(event('open'));
    hit(provider, open, 7, 1);
    providers.end(provider);
    providers.turn();
    const recording = record('open', { beginning });
    await recording.finish();
    expect(recordedEvents(output)).toHaveLength(1);
  });

  it('clears up behind a prober that was killed', async () => {
    const script = `
      const { ProbeProviders } = await import(process.argv[1]);
      const providers = new ProbeProviders(process.argv[2], 16);
      const provider = providers.create({ pid: process.ppid, startTicks: 1, comm: 'killed' });
      provider.lose(1);
      process.stdout.write('made');
      setInterval(() => {}, 1000);`;
    const built = new URL('../dist/index.js', import.meta.url).pathname;
    const prober = spawn(process.execPath, ['--input-type=module', '-e', script, built, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(prober.stdout, 'data');
    new ProbeProviders(folder, PAGES).close();
    expect(readdirSync(folder)).toHaveLength(1);
    prober.kill('SIGKILL');
    await once(prober, 'exit');
    new ProbeProviders(folder, PAGES).close();
    expect(readdirSync(folder)).toEqual([]);
  });
});
