import type { WriteStream } from 'node:tty';
import { describe, expect, it } from 'vitest';
import { StatusLine } from './status-line.ts';

function stream(isTTY: boolean): { written: string[]; stream: WriteStream } {
  const written: string[] = [];
  const write = (text: string): boolean => written.push(text) > 0;
  return { written, stream: { isTTY, columns: 20, write } as unknown as WriteStream };
}

describe('StatusLine', () => {
  it('writes one line of a terminal anew, and makes way for what is said', () => {
    const terminal = stream(true);
    const line = new StatusLine(terminal.stream, true);
    line.show(() => 'a text that is longer than the terminal');
    line.say('something happened');
    line.say('and more');
    expect(terminal.written).toEqual([
      '\r\u001B[Ka text that is long',
      '\r\u001B[Ksomething happened\n',
      'and more\n',
    ]);
  });

  it('shows nothing where there is no terminal, but says what has to be said', () => {
    const file = stream(false);
    const line = new StatusLine(file.stream, true);
    line.show(() => 'progress');
    line.say('done');
    line.end();
    expect(file.written).toEqual(['done\n']);
  });
});
