import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FILTERED_CALLS, seccompFilter } from './seccomp-filter.ts';
import { AUDIT_ARCH_X86_64 } from './system-call-stop.ts';

/** Runs a filter as the kernel does; classic BPF of the kinds that filters here have. */
function run(program: Uint8Array, call: number, architecture: number): number {
  const view = new DataView(program.buffer);
  let accumulator = 0;
  for (let at = 0; at * 8 < program.length; at++) {
    const code = view.getUint16(at * 8, true);
    const operand = view.getUint32(at * 8 + 4, true);
    const jump = (isTrue: boolean): void => void (at += view.getUint8(at * 8 + (isTrue ? 2 : 3)));
    if (code === 0x20) accumulator = operand === 0 ? call : architecture;
    else if (code === 0x15) jump(accumulator === operand);
    else if (code === 0x35) jump(accumulator >= operand);
    else if (code === 0x05) at += operand;
    else return operand;
  }
  throw new Error('the program has no end');
}

describe('seccompFilter()', () => {
  it('stops for the calls that were asked for, and for no others', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(511), { minLength: 1, maxLength: MAX_FILTERED_CALLS }),
        fc.array(fc.nat(600)),
        (wanted, calls) => {
          const program = seccompFilter(wanted);
          for (const call of [...calls, ...wanted])
            expect(run(program, call, AUDIT_ARCH_X86_64) === 0x7ff0_0000).toBe(wanted.includes(call));
          expect(run(program, wanted[0] as number, 0x4000_0003)).toBe(0x7fff_0000);
        },
      ),
    );
  });
});
