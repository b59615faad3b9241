import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fifo } from './fifo.ts';

it('Fifo gives what an array would, also after thousands', () => {
  const step = fc.oneof(
    fc.record({ push: fc.nat(3000) }),
    fc.record({ shift: fc.nat(3000) }),
    fc.record({ putBack: fc.nat(5) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const fifo = new Fifo<number>();
      let model: number[] = [];
      let made = 0;
      for (const wanted of steps) {
        if ('push' in wanted) {
          const numbers = Array.from({ length: wanted.push }, () => made++);
          for (const number of numbers) fifo.push(number);
          model = [...model, ...numbers];
        } else if ('shift' in wanted) {
          const taken = Array.from({ length: wanted.shift }, () => fifo.shift());
          const expected = Array.from({ length: wanted.shift }, (_, i) => model[i]);
          expect(taken).toEqual(expected);
          model = model.slice(wanted.shift);
        } else {
          const numbers = Array.from({ length: wanted.putBack }, () => made++);
          fifo.putBack(numbers);
          model = [...numbers, ...model];
        }
        expect(fifo.size).toBe(model.length);
      }
    }),
    { numRuns: 30 },
  );
});
