import { expect, it } from 'vitest';
import { READERS_MAX, SharedTableMemory, SPACES_MAX } from './table-memory.ts';
import { NO_PROBE, TableReader } from './table-reader.ts';
import { TableSimulation } from './table-simulation.sim.ts';
import { TableWriter } from './table-writer.ts';

const RUNS = Number(process.env['USERTRACE_RUNS'] ?? 150);
const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const CHANGES = 60;
const LIBC = 7;

function table(cells?: number): { writer: TableWriter; reader: TableReader } {
  const memory = SharedTableMemory.create(cells);
  const writer = new TableWriter(memory);
  return { writer, reader: new TableReader(new SharedTableMemory(memory.buffer), writer.addReader()) };
}

const MAPPINGS = [
  { start: 0x7f00_0000_0000, end: 0x7f00_0002_8000, file: LIBC, offset: 0 },
  { start: 0x7f00_0002_8000, end: 0x7f00_0018_0000, file: LIBC, offset: 0x2_8000 },
  { start: 0x7f10_0000_0000, end: 0x7f10_0000_1000, file: LIBC, offset: 0x2_9000 },
];

it('lookup() finds a probe wherever its file is mapped, and nothing beside it', () => {
  const { writer, reader } = table();
  const space = writer.openSpace();
  writer.publish(space, MAPPINGS, [
    { file: LIBC, offset: 0x2_9010, number: 3 },
    { file: LIBC + 1, offset: 0x2_9011, number: 4 },
  ]);
  expect(reader.lookup(space, 0x7f00_0002_9010)).toBe(3);
  expect(reader.lookup(space, 0x7f10_0000_0010)).toBe(3);
  expect(reader.lookup(space, 0x7f00_0002_9011)).toBe(NO_PROBE);
  expect(reader.lookup(space, 0x7f10_0000_1010)).toBe(NO_PROBE);
  expect(reader.lookup(space, 0)).toBe(NO_PROBE);
});

it('lookup() tells address spaces apart, and finds nothing in one that was closed', () => {
  const { writer, reader } = table();
  const [first, second] = [writer.openSpace(), writer.openSpace()];
  writer.publish(first, MAPPINGS, [{ file: LIBC, offset: 16, number: 1 }]);
  writer.publish(second, MAPPINGS, [{ file: LIBC, offset: 16, number: 2 }]);
  expect([first, second].map((space) => reader.lookup(space, 0x7f00_0000_0010))).toEqual([1, 2]);
  writer.closeSpace(first);
  const third = writer.openSpace();
  writer.publish(third, MAPPINGS, [{ file: LIBC, offset: 16, number: 5 }]);
  expect([first, second, third].map((space) => reader.lookup(space, 0x7f00_0000_0010))).toEqual([
    NO_PROBE,
    2,
    5,
  ]);
});

it('publish() refuses what does not fit, and the former table stays', () => {
  const { writer, reader } = table(64);
  const space = writer.openSpace();
  writer.publish(space, MAPPINGS, [{ file: LIBC, offset: 16, number: 1 }]);
  const many = Array.from({ length: 100 }, (_, offset) => ({ file: LIBC, offset, number: offset }));
  expect(() => writer.publish(space, MAPPINGS, many)).toThrow(/Cannot publish a table of 315 cells/u);
  expect(reader.lookup(space, 0x7f00_0000_0010)).toBe(1);
});

it('addReader() and openSpace() have bounds, and take back what is given back', () => {
  const { writer } = table();
  for (let i = 1; i < READERS_MAX; i++) writer.addReader();
  expect(() => writer.addReader()).toThrow(/Cannot add a reader/u);
  writer.removeReader(4);
  expect(writer.addReader()).toBe(4);
  const spaces = Array.from({ length: SPACES_MAX }, () => writer.openSpace());
  expect(() => writer.openSpace()).toThrow(/Cannot open an address space/u);
  for (const space of spaces) writer.closeSpace(space);
  expect(spaces).not.toContain(writer.openSpace());
});

it(`every answer was true during its lookup, in any interleaving (USERTRACE_SEED=${SEED})`, () => {
  let lookups = 0;
  let retries = 0;
  let refusals = 0;
  for (let run = 0; run < RUNS; run++) {
    const simulation = new TableSimulation(SEED + run);
    try {
      simulation.run(CHANGES);
    } catch (error) {
      throw new Error(`with USERTRACE_SEED=${SEED + run} USERTRACE_RUNS=1`, { cause: error });
    }
    lookups += simulation.lookups;
    retries += simulation.retries;
    refusals += simulation.refusals;
  }
  expect(lookups).toBeGreaterThan(RUNS);
  if (RUNS >= 100) expect({ retries, refusals }).not.toEqual({ retries: 0, refusals: 0 });
  console.log(
    `${lookups} lookups, ${retries} tried again, ${refusals} publications refused for lack of room`,
  );
}, 60_000);
