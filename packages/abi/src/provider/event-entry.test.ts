import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEventTable, encodeEventEntry, EVENT_COMMAND_MAX } from './event-entry.ts';

const COMMANDS = ['tick', 'http_request __rel_loc char[] url; u16 status', 'point struct point p 8'];
const TABLE = Buffer.concat(COMMANDS.map((command) => encodeEventEntry('command', command)));

describe('the event table', () => {
  it('is read as it was written', () => {
    const { events, isWhole } = decodeEventTable(TABLE, 3);
    expect(isWhole).toBe(true);
    expect(events.map(({ text }) => text)).toEqual(COMMANDS);
    expect(events.map(({ id, index, name }) => [id, index, name])).toEqual([
      [1024, 0, 'tick'],
      [1025, 1, 'http_request'],
      [1026, 2, 'point'],
    ]);
    expect(events[1]?.fields.map(({ name, offset }) => [name, offset])).toEqual([
      ['url', 8],
      ['status', 12],
    ]);
  });

  it('ends where it makes no sense, and leaves out what is no event', () => {
    expect(decodeEventTable(TABLE.subarray(0, 20), 3)).toMatchObject({
      isWhole: false,
      events: { length: 1 },
    });
    const withNonsense = Buffer.concat([
      encodeEventEntry('command', 'a u99 b'),
      encodeEventEntry('command', 'b u8 b'),
    ]);
    expect(decodeEventTable(withNonsense, 2)).toMatchObject({
      isWhole: false,
      events: [{ index: 1, name: 'b' }],
    });
    expect(decodeEventTable(Buffer.alloc(8), 1)).toEqual({ isWhole: false, events: [] });
    expect(decodeEventTable(Buffer.alloc(2 ** 16, 0xff), 2 ** 32 - 1).events).toEqual([]);
  });

  it('holds the longest command there is', () => {
    const command = `${'e'.repeat(EVENT_COMMAND_MAX - 6)} u8 ab`;
    expect(decodeEventTable(encodeEventEntry('command', command), 1).events[0]?.text).toBe(command);
  });

  it('takes any bytes without harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(3000), (bytes, count) => {
        expect(decodeEventTable(bytes, count).events.length).toBeLessThanOrEqual(count);
      }),
    );
  });
});
