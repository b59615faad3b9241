import { describe, expect, it } from 'vitest';
import { answered, call, entered, forked, MAIN, WORKER } from './events.sim.ts';
import { JsonOutput } from './json-output.ts';
import { LineBatch } from './line-batch.ts';
import type { WatchEvent } from './watch-event.ts';

function rowsOf(...events: WatchEvent[]): unknown[] {
  let text = '';
  const lines = new LineBatch((more) => (text += more));
  const output = new JsonOutput(lines);
  for (const event of events) output.take(event);
  lines.flush();
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

describe('JsonOutput', () => {
  it('writes a system call as one object, at its answer, with the time of its entry', () => {
    const read = call(WORKER, 1_000_000, 'openat', ['AT_FDCWD', '"/none"']);
    expect(rowsOf(entered(read), forked(MAIN, 1_000_001, 7), answered(read, 12, -2, 2))).toEqual([
      { time: 1.000001, pid: 100, tid: 100, comm: 'main', event: 'clone', how: 'fork', child: 7 },
      {
        time: 1,
        pid: 100,
        tid: 101,
        comm: 'worker',
        event: 'syscall',
        name: 'openat',
        number: 0,
        args: ['AT_FDCWD', '"/none"'],
        result: -2,
        error: 'ENOENT',
        microseconds: 12,
      },
    ]);
  });

  it('writes a call that has no answer once', () => {
    const exit = call(MAIN, 1, 'exit_group', ['0']);
    const cut = call(WORKER, 2);
    const [final, abandoned] = rowsOf(entered(exit), entered(cut), {
      kind: 'abandoned',
      task: WORKER,
      timeNs: 5000n,
      call: cut,
    });
    expect(final).toMatchObject({ name: 'exit_group', result: null, microseconds: null });
    expect(abandoned).toMatchObject({ name: 'read', result: null, error: null, microseconds: 3 });
  });

  it('keeps all digits of a result', () => {
    const mapped = { ...answered(call(MAIN, 1, 'mmap'), 1, 0), result: 0x7fff_ffff_ffff_f001n };
    expect(rowsOf(mapped)).toMatchObject([{ result: '9223372036854771713' }]);
  });
});
