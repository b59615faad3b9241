/** Events from many threads and processes at once: each is in the buffer whole, once, and in its writer's order. */
import { describe, expect, test } from 'vitest';
import type { Server } from '../support/server.ts';
import { until } from '../support/wait.ts';
import { needs, runProgram, SERVER_NEEDS, startProgram, startServer } from './fixture.ts';

const PROCESSES = 3;
const THREADS = 4;
const EVENTS_PER_THREAD = 400;
const SEQUENCE = /sequence: writer=\S+ \((\d+)\) number=\S+ \((\d+)\) sum=\S+ \((\d+)\) body=([a-z]+)$/;

interface Sequence {
  readonly writer: number;
  readonly number: number;
}

/** Checks the event's own sum, and that its body is one letter. */
function parseWhole(line: string): Sequence {
  const [, writer, number, sum, body = ''] = SEQUENCE.exec(line) ?? [];
  expect(body, line).toMatch(/^(.)\1*$/);
  expect(Number(sum), line).toBe(body.length * body.charCodeAt(0));
  return { writer: Number(writer), number: Number(number) };
}

async function record(server: Server): Promise<Sequence[]> {
  await server.write('buffer_size_kb', '8192');
  await server.append(
    'dynamic_events',
    'u:sequence u32 writer; u32 number; u32 sum; __rel_loc char[] body\n',
  );
  await server.enable('user_events/sequence');
  const counts = [PROCESSES, THREADS, EVENTS_PER_THREAD].map(String);
  const { status, stdout, stderr } = await runProgram('sequence-writers', server.root, ...counts);
  expect({ status, stdout, stderr }).toMatchObject({
    status: 0,
    stdout: `wrote ${PROCESSES * THREADS * EVENTS_PER_THREAD}\n`,
  });
  const lines = (await server.read('trace'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map(parseWhole);
}

/** What the header of a trace says. */
function entryCounts(trace: string): { kept: number; written: number } {
  const [, kept, written] = /entries-in-buffer\/entries-written: (\d+)\/(\d+)/.exec(trace) ?? [];
  return { kept: Number(kept), written: Number(written) };
}

describe('a writer with O_APPEND', () => {
  test('has each write recorded as an event of its own, whole and in order', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    await server.write('buffer_size_kb', '8192');
    const writer = startProgram('append-writer', server.root, '300');
    await writer.line(/^ready$/);
    await server.enable('user_events/appended');
    await writer.line(/^wrote 300$/);
    const events = [
      ...(await server.read('trace')).matchAll(/appended: number=\S+ \((\d+)\) body=([a-z]*)$/gm),
    ];
    const expected = Array.from({ length: 300 }, (_, number) => {
      const body = String.fromCharCode(97 + (number % 26)).repeat((number * 1300) % 5200);
      return `${number} ${body}`;
    });
    expect(events.map(([, number, body]) => `${number} ${body}`)).toEqual(expected);
  });
});

describe('a writer whose pages are not in memory', () => {
  test('has each write recorded whole', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const writer = startProgram('absent-pages', server.root);
    await writer.line(/^ready$/);
    await server.enable('user_events/absent');
    await writer.line(/^done$/);
    expect(writer.lines).toEqual(['ready', '16', '16', '16', '12', 'EINVAL', 'done']);
    const events = [...(await server.read('trace')).matchAll(/absent: number=\S+ \((\d+)\) body=(.*)$/gm)];
    expect(events.map(([, number, body]) => `${number} ${body}`)).toEqual(['0 one', '1 ', '2 ', '0 ']);
  });
});

describe('concurrent writers', () => {
  test('every event of every thread is recorded whole, once and in order', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer();
    const sequences = await record(server);
    expect(sequences).toHaveLength(PROCESSES * THREADS * EVENTS_PER_THREAD);
    for (let writer = 0; writer < PROCESSES * THREADS; writer++) {
      const numbers = sequences.filter((sequence) => sequence.writer === writer).map(({ number }) => number);
      expect(numbers, `writer ${writer}`).toEqual(
        Array.from({ length: EVENTS_PER_THREAD }, (_, index) => index),
      );
    }
  });

  test('a small buffer keeps the newest events and counts the rest as overrun', async (context) => {
    needs(context, ...SERVER_NEEDS);
    const server = await startServer({ node: ['taskset', '-c', '0', process.execPath] });
    await server.write('buffer_size_kb', '64');
    await server.append('dynamic_events', 'u:storm_small u32 value\n');
    await server.enable('user_events/storm_small');
    const storm = startProgram('storm', server.root, 'write', 'storm_small');
    await storm.line(/^ready /);
    await until('the buffer has overrun', async () => {
      const { kept, written } = entryCounts(await server.read('trace'));
      return written > kept;
    });
    await server.enable('user_events/storm_small', '0');
    await storm.ended;

    const trace = await server.read('trace');
    const { kept, written } = entryCounts(trace);
    const values = trace.split('\n').flatMap((line) => {
      const value = /storm_small: value=\S+ \((\d+)\)/.exec(line)?.[1];
      return value === undefined ? [] : [Number(value)];
    });
    expect(values).toHaveLength(kept);
    expect(written).toBeGreaterThan(kept);
    expect(values.at(-1)).toBe(written - 1);
    expect(values.at(-1)).toBe((values[0] ?? 0) + values.length - 1);
    const stats = await server.read('per_cpu/cpu0/stats');
    expect(stats).toMatch(/^entries: \d+$/m);
    expect(stats).toMatch(/^overrun: \d+$/m);
  });
});
