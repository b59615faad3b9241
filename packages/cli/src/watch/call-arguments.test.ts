import { argumentTexts, AUDIT_ARCH_X86_64, SYSTEM_CALL_OPERATION, SystemCallStop } from '@usertrace/abi';
import type { Task } from '@usertrace/utrace';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CallArguments } from './call-arguments.ts';

/** A task whose memory has some bytes from 4,096 on. */
function taskWith(memory: Uint8Array): Task {
  const readMemory = (_: number, address: bigint, into: Uint8Array, offset: number, size: number): number => {
    const start = Number(address) - 4096;
    if (start < 0 || start >= memory.length) return -14;
    const bytes = memory.subarray(start, start + size);
    into.set(bytes, offset);
    return bytes.length;
  };
  return { tid: 1, port: { readMemory } } as unknown as Task;
}

function entryOf(number: number, args: readonly bigint[]): SystemCallStop {
  const stop = new SystemCallStop();
  const view = new DataView(stop.bytes.buffer);
  stop.bytes[0] = SYSTEM_CALL_OPERATION.ENTRY;
  view.setUint32(4, AUDIT_ARCH_X86_64, true);
  for (const [index, value] of args.entries()) view.setBigUint64(32 + 8 * index, value, true);
  stop.number = number;
  return stop;
}

const argument = fc.oneof(
  fc.bigInt({ min: 0n, max: 200n }),
  // Addresses in the memory, around its end, and none.
  fc.bigInt({ min: 4_090n, max: 4_096n + 6_100n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const args = fc.array(argument, { minLength: 6, maxLength: 6 });
const memory = fc
  .uint8Array({ minLength: 1, maxLength: 200 })
  .chain((piece) => fc.nat(5_900).map((size) => Buffer.alloc(size + piece.length, piece)));

it('makes of copies the texts that it would have made of the memory itself', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ number: fc.nat(462), args, memory }), { minLength: 1, maxLength: 5 }),
      (calls) => {
        const store = new CallArguments();
        const expected: string[][] = [];
        const copies = calls.map((made) => {
          const task = taskWith(made.memory);
          const read = (address: bigint, size: number): Uint8Array => {
            const into = new Uint8Array(size);
            const count = task.port.readMemory(1, address, into, 0, size);
            return into.subarray(0, Math.max(0, count));
          };
          expected.push(argumentTexts(made.number, (index) => made.args[index] ?? 0n, read, 4096));
          const copied = store.copy(task, entryOf(made.number, made.args));
          made.memory.fill(0x78);
          return copied;
        });
        expect(copies.map((copied) => store.textsOf(copied))).toEqual(expected);
      },
    ),
  );
});

it('says in time that it is full', () => {
  const store = new CallArguments();
  const task = taskWith(Buffer.alloc(6_000, 0x61));
  // rename(2), with the longest paths.
  let count = 0;
  for (; !store.isFull; count++) store.copy(task, entryOf(82, [4096n, 4097n, 0n, 0n, 0n, 0n]));
  expect(count).toBeGreaterThan(10);
  store.clear();
  expect(store.isFull).toBe(false);
});
