/** Two threads look probes up while a third changes mappings and probes all the time. Needs the built package. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { SharedTableMemory, TableWriter } from '@usertrace/uprobes';
import { expect, it } from 'vitest';
import { inRepository } from '../support/repository.ts';

const READERS = 2;
const PLACES = 50;
const MAPPING_BYTES = 0x1_0000;
/** Besides those with probes, so that tables have the size that programs have. */
const OTHER_MAPPINGS = 150;
const FILE = 5;
const VERSIONS = 3_000 * Number(process.env['USERTRACE_SCALE'] ?? 1);
const [PUBLISHED, BEGUN, STOP] = [0, 1, 2] as const;

function addressOf(index: number): number {
  return 0x7f00_0000_0000 + index * MAPPING_BYTES * 4 + 0x123;
}

/** Each version maps the file's parts elsewhere in it, so that a mapping of one with the probes of another answers nonsense. */
function publish(writer: TableWriter, space: number, version: number): void {
  const mappings = [];
  const probes = [];
  for (let index = 0; index < PLACES; index++) {
    const start = addressOf(index) - 0x123;
    const offset = ((index + version) % PLACES) * MAPPING_BYTES;
    mappings.push({ start, end: start + MAPPING_BYTES, file: FILE, offset });
    if ((version + index) % 3 !== 0)
      probes.push({ file: FILE, offset: offset + 0x123, number: version * 64 + index });
  }
  for (let other = 0; other < (version % 7) * OTHER_MAPPINGS; other++) {
    const start = 0x10_0000 + other * MAPPING_BYTES;
    mappings.push({ start, end: start + MAPPING_BYTES, file: FILE + 1, offset: 0 });
  }
  writer.publish(space, mappings, probes);
}

it('lookups of two threads answer what was true during them, while a third changes the table', async () => {
  const memory = SharedTableMemory.create();
  const writer = new TableWriter(memory);
  const space = writer.openSpace();
  const words = new SharedArrayBuffer(16);
  const versions = new Int32Array(words);
  publish(writer, space, 0);
  const threads = Array.from(
    { length: READERS },
    () =>
      new Worker(inRepository('tests', 'programs', 'table-reader.mjs'), {
        // Not vitest's conditions, which lead to sources.
        execArgv: [],
        workerData: {
          library: inRepository('packages', 'uprobes', 'dist', 'index.js'),
          buffer: memory.buffer,
          reader: writer.addReader(),
          space,
          words,
          addresses: Array.from({ length: PLACES }, (_, index) => addressOf(index)),
        },
      }),
  );
  const signal = AbortSignal.timeout(20_000);
  await Promise.all(threads.map((thread) => once(thread, 'message', { signal })));
  for (let version = 1; version <= VERSIONS; version++) {
    Atomics.store(versions, BEGUN, version);
    publish(writer, space, version);
    Atomics.store(versions, PUBLISHED, version);
  }
  const answers = threads.map((thread) => once(thread, 'message', { signal }));
  Atomics.store(versions, STOP, 1);
  for (const [{ lookups, overlapped, wrong }] of (await Promise.all(answers)) as [Record<string, number>][]) {
    expect(wrong).toBe(0);
    expect(lookups).toBeGreaterThan(1000);
    expect(overlapped).toBeGreaterThan(10);
  }
  await Promise.all(threads.map((thread) => thread.terminate()));
}, 60_000);
