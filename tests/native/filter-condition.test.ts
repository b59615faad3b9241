/** The code that decides a filter in a trampoline, run by the processor, beside the filter itself. */
import { spawnSync } from 'node:child_process';
import { EventFilter } from '@usertrace/abi';
import {
  filterCondition,
  filterFields,
  MachineCode,
  parseDefinition,
  RecordEncoder,
  REGISTERS,
} from '@usertrace/uprobes';
import { describe, expect, it } from 'vitest';
import { cProgram } from '../support/c-programs.ts';
import { missing } from '../support/requirements.ts';
import { random } from './snippets.ts';

const SEED = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 2 ** 31);
const FILTERS = Math.min(2000, Number(process.env['USERTRACE_RUNS'] ?? 150));
const SETS = 200;

const ARGUMENTS =
  'a=%di:s8 b=%si:u8 c=%dx:s16 d=%cx:x16 e=%r8:s32 f=%r9:u32 g=%di:s64 h=%si u=%di:u64 i=%dx:b4@8/32 j=%cx:b17@3/64 k=\\-7:s32 text=+0(%si):string mem=+0(%sp):u32';
const NUMBER_NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'u', 'i', 'j', 'k'];
const UNSIGNED_NAMES = new Set(['b', 'd', 'f', 'h', 'u', 'i', 'j']);

const definition = parseDefinition(`p:g/ev /bin/x:0 ${ARGUMENTS}`, {
  look: () => ({ kind: 'regular', identity: '' }),
});

/** A filter of random comparisons, of which some need memory. */
function randomFilter(below: (bound: number) => number, depth: number): string {
  const kind = depth === 0 ? 0 : below(6);
  if (kind === 3) return `!(${randomFilter(below, depth - 1)})`;
  if (kind >= 4) {
    const operator = kind === 4 ? '&&' : '||';
    return `(${randomFilter(below, depth - 1)} ${operator} ${randomFilter(below, depth - 1)})`;
  }
  if (below(12) === 0) return below(2) === 0 ? 'text == "x"' : 'mem > 5';
  const name = NUMBER_NAMES[below(NUMBER_NAMES.length)] as string;
  const comparison = ['==', '!=', '<', '<=', '>', '>=', '&'][below(7)];
  const value = randomNumber(below);
  const written = UNSIGNED_NAMES.has(name) ? value : BigInt.asIntN(64, value);
  return `${name} ${comparison} ${written}`;
}

function randomNumber(below: (bound: number) => number): bigint {
  const interesting = [
    0n,
    1n,
    127n,
    128n,
    255n,
    256n,
    0x7fffn,
    0x8000n,
    0xffff_ffffn,
    2n ** 31n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];
  const near = interesting[below(interesting.length)] as bigint;
  return BigInt.asUintN(
    64,
    below(3) === 0 ? BigInt(below(2 ** 31)) << BigInt(below(33)) : near + BigInt(below(5)) - 2n,
  );
}

/** The condition as a function of the registers that rdi points to; 1 when the hit is wanted. */
function codeOf(filter: EventFilter): Uint8Array | undefined {
  const condition = filterCondition(filter.expression);
  if (condition === undefined) return undefined;
  const code = new MachineCode(0);
  code.push('rbx').move('rbx', 'rdi');
  condition.append(
    code,
    (source) => {
      if (source.kind === 'immediate') code.constant('rax', source.value);
      else if (source.kind !== 'register') throw new Error(`not in a register: ${source.kind}`);
      else code.load('rax', { base: 'rbx', displacement: 8 * REGISTERS.indexOf(source.register) });
    },
    'rejected',
    'condition-',
  );
  code.constant('rax', 1n).pop('rbx').raw(0xc3);
  code.label('rejected').constant('rax', 0n).pop('rbx').raw(0xc3);
  return code.finish();
}

describe.skipIf(missing('cc') !== undefined)('a filter’s condition in a trampoline', () => {
  it(`lets through what the filter lets through, and decides all that is in registers (USERTRACE_SEED=${SEED})`, () => {
    if (definition === undefined) throw new Error('no definition');
    const below = random(SEED);
    const program = cProgram('tests/programs/condition-run.c');
    const encoder = new RecordEncoder(definition);
    let decided = 0;
    for (let number = 0; number < FILTERS; number++) {
      const text = randomFilter(below, 3);
      const filter = EventFilter.parse(text, filterFields(definition), 1);
      if (filter === undefined) throw new Error(text);
      const code = codeOf(filter);
      if (code === undefined) continue;
      const sets = Array.from({ length: SETS }, () => REGISTERS.map(() => randomNumber(below)));
      const sizes = BigUint64Array.of(BigInt(code.length), BigInt(SETS), BigInt(REGISTERS.length));
      const numbers = sets.map((set) => Buffer.from(BigUint64Array.from(set).buffer));
      const { stdout, status } = spawnSync(program, {
        input: Buffer.concat([Buffer.from(sizes.buffer), code, ...numbers]),
        timeout: 60_000,
      });
      expect(status).toBe(0);
      const isAllInRegisters = !/text|mem/u.test(text);
      if (isAllInRegisters) decided += 1;
      for (const [index, set] of sets.entries()) {
        const length = encoder.encodeValues([0n], valuesOf(set));
        const record = new DataView(encoder.bytes.buffer, encoder.bytes.byteOffset, length);
        const isWanted = filter.matches({ record, tid: 1, comm: '', cpu: 0 });
        const isLetThrough = stdout[index] === 1;
        if (isAllInRegisters) expect(isLetThrough, text).toBe(isWanted);
        else if (isWanted) expect(isLetThrough, text).toBe(true);
      }
    }
    expect(decided).toBeGreaterThan(FILTERS / 4);
  }, 120_000);
});

/** What would be fetched. */
function valuesOf(set: readonly bigint[]): (bigint | undefined)[] {
  return (definition?.arguments ?? []).map(({ source, type: { basic, bitField }, dereferences }) => {
    if (dereferences.length > 0) return undefined;
    const raw =
      source.kind === 'immediate'
        ? source.value
        : source.kind === 'register'
          ? (set[REGISTERS.indexOf(source.register)] ?? 0n)
          : 0n;
    if (bitField !== undefined) return BigInt.asUintN(bitField.width, raw >> BigInt(bitField.offset));
    return basic.isSigned ? BigInt.asIntN(basic.size * 8, raw) : BigInt.asUintN(basic.size * 8, raw);
  });
}
