import { describe, expect, it } from 'vitest';
import { endText, execText, resultText, signalText } from './event-texts.ts';
import { answered, call, MAIN } from './events.sim.ts';

describe('resultText()', () => {
  it.each([
    ['read', 5, 0, '5'],
    ['mmap', 4096, 0, '0x1000'],
    ['kill', -3, 3, '-1 ESRCH (no such process)'],
    ['read', -512, 512, '? ERESTARTSYS (to be restarted)'],
    ['ioctl', -25, 25, '-1 ENOTTY (inappropriate ioctl for device)'],
  ])('shows what %s answers with %i', (name, result, errno, text) => {
    expect(resultText(answered(call(MAIN, 1, name), 1, result, errno))).toBe(text);
  });
});

describe('signalText()', () => {
  const signal = { kind: 'signal', task: MAIN, timeNs: 1n, sender: undefined, address: undefined } as const;

  it('says who sent it, or where it happened, and what it does', () => {
    const sent = {
      ...signal,
      signal: 15,
      code: 0,
      sender: { pid: 7, uid: 1000 },
      disposition: 'terminate',
    } as const;
    expect(signalText(sent)).toBe('SIGTERM SI_USER from 7 (uid 1000): kills');
    const fault = { ...signal, signal: 11, code: 1, address: 0x10n, disposition: 'core' } as const;
    expect(signalText(fault)).toBe('SIGSEGV SEGV_MAPERR at 0x10: kills, dumps core');
    const unknown = { ...signal, signal: 11, code: 77, disposition: 'handle' } as const;
    expect(signalText(unknown)).toBe('SIGSEGV code 77: handled');
  });
});

describe('endText()', () => {
  it('tells an exit from a death', () => {
    expect(endText({ code: 3, signal: undefined, dumpedCore: false })).toBe('exited with 3');
    expect(endText({ code: undefined, signal: 6, dumpedCore: true })).toBe('killed by SIGABRT (core dumped)');
  });
});

describe('execText()', () => {
  it('shows what was executed, and which thread did it', () => {
    const exec = {
      kind: 'exec',
      task: MAIN,
      timeNs: 1n,
      file: '/bin/a\nb',
      args: ['a', 'x"y'],
      formerTid: 105,
    } as const;
    expect(execText(exec)).toBe('exec /bin/a\\nb ["a", "x\\"y"] by thread 105');
  });
});
