import { describe, expect, test } from 'vitest';
import { parseUnsigned, stripSpaces } from './written-text.ts';
import { TreeWorld } from './tree-world.sim.ts';

const LONGEST_WRITE = 1_048_576;
/** Of CPU time, for others may keep the machine busy. A thousand times what it takes; work that grew with the square would take hours. */
const SOON_MS = 2000;

function usedSinceMs(start: NodeJS.CpuUsage): number {
  return process.cpuUsage(start).user / 1000;
}

describe('stripSpaces', () => {
  test('strips what the kernel takes for spaces, up to the first zero byte', () => {
    expect(stripSpaces(' \t\r\n\v\f\xa0nop x\xa0 \n')).toBe('nop x');
    expect(stripSpaces(' nop \0 x')).toBe('nop');
    expect(stripSpaces(' \0')).toBe('');
  });

  test.each([
    ['only', ' '.repeat(LONGEST_WRITE)],
    ['inside', `a${' '.repeat(LONGEST_WRITE - 2)}b`],
  ])('takes time in proportion to its length, with spaces %s', (_, written) => {
    const start = process.cpuUsage();
    expect(stripSpaces(written).length).toBe(written.trim().length);
    expect(usedSinceMs(start)).toBeLessThan(SOON_MS);
  });
});

describe('the longest write there is', () => {
  const texts = [' ', '\n', '1', 'x', '#', ';', ':', '!'].flatMap((character) => [
    character.repeat(LONGEST_WRITE),
    `x${character.repeat(LONGEST_WRITE - 2)}x`,
  ]);
  const commands = `u:ev u32 a${' '.repeat(3900)};${' '.repeat(100)}\n`;
  const files = [
    'dynamic_events',
    'set_event',
    'current_tracer',
    'trace_clock',
    'trace_options',
    'options/overwrite',
    'buffer_size_kb',
    'tracing_on',
    'saved_cmdlines_size',
    'events/enable',
    'events/user_events/ev/enable',
    'events/user_events/ev/filter',
    'events/user_events/ev/trigger',
    'events/user_events/filter',
  ];

  test.each(files)('to %s is answered soon and leaves little behind', (path) => {
    const world = new TreeWorld();
    world.put('dynamic_events', 'u:ev u32 a');
    for (const written of [...texts, commands.repeat(LONGEST_WRITE / commands.length)]) {
      const start = process.cpuUsage();
      const answer = world.put(path, written);
      expect(usedSinceMs(start)).toBeLessThan(SOON_MS);
      if (typeof answer === 'number') expect(answer).toBeLessThanOrEqual(written.length);
      else expect(answer).toMatch(/^E/);
    }
    expect(world.cat('error_log').length).toBeLessThan(8 * 5000);
  });
});

describe('parseUnsigned', () => {
  test('looks at 66 bytes, as the kernel does', () => {
    expect(parseUnsigned(`${'0'.repeat(64)}12345`)).toBe(12);
    expect(parseUnsigned('18446744073709551616')).toBe('ERANGE');
  });
});
