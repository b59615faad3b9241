/**
 * MachineCode puts x86-64 instructions together front to back, with labels: the few forms that trampolines are made
 * of. Encodings: Intel SDM volume 2.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';

/** A general register's name. */
export type General = keyof typeof GENERAL_REGISTERS;

/** Memory at a register and a displacement, or at an address that is reached relative to the instruction. */
export type MemoryOperand =
  | { readonly base: General; readonly displacement: number }
  | { readonly at: number };

/** Conditions of jcc. */
export const CONDITION = {
  below: 2,
  aboveOrEqual: 3,
  equal: 4,
  notEqual: 5,
  belowOrEqual: 6,
  notNegative: 9,
  lessOrEqual: 14,
} as const;

export class MachineCode {
  readonly address: number;
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #distances: { readonly at: number; readonly label: string }[] = [];

  /** @param address where the first byte will stand */
  constructor(address: number) {
    this.address = address;
  }

  /** The address of the byte that comes next. */
  get here(): number {
    return this.address + this.#bytes.length;
  }

  /** Appends bytes as they are. */
  raw(...bytes: readonly number[]): this {
    for (const byte of bytes) this.#bytes.push(byte & 0xff);
    return this;
  }

  append(bytes: Uint8Array): this {
    return this.raw(...bytes);
  }

  label(name: string): this {
    this.#labels.set(name, this.#bytes.length);
    return this;
  }

  push(register: General): this {
    return this.#optionalRex(0, GENERAL_REGISTERS[register]).raw(0x50 | (GENERAL_REGISTERS[register] & 7));
  }

  pop(register: General): this {
    return this.#optionalRex(0, GENERAL_REGISTERS[register]).raw(0x58 | (GENERAL_REGISTERS[register] & 7));
  }

  /** `opcode /r` with 64-bit operands: a register and a memory operand. */
  withMemory(
    opcode: readonly number[],
    register: number,
    operand: MemoryOperand,
    prefixes: readonly number[] = [],
  ): this {
    return this.#memory(opcode, register, operand, prefixes, true, 0);
  }

  /** The same with 32-bit operands. */
  withMemory32(opcode: readonly number[], register: number, operand: MemoryOperand): this {
    return this.#memory(opcode, register, operand, [], false, 0);
  }

  /** `opcode /r imm32` with a memory operand. */
  memoryImmediate(
    opcode: readonly number[],
    field: number,
    operand: MemoryOperand,
    value: number,
    isWide: boolean,
  ): this {
    return this.#memory(opcode, field, operand, [], isWide, 4).int32(value);
  }

  load(register: General, operand: MemoryOperand): this {
    return this.withMemory([0x8b], GENERAL_REGISTERS[register], operand);
  }

  store(operand: MemoryOperand, register: General): this {
    return this.withMemory([0x89], GENERAL_REGISTERS[register], operand);
  }

  lea(register: General, operand: MemoryOperand): this {
    return this.withMemory([0x8d], GENERAL_REGISTERS[register], operand);
  }

  /** `opcode /r` with two 64-bit registers: `rm` is the first of AT&T's second. */
  registers(opcode: readonly number[], rm: General, register: General): this {
    const [r, m] = [GENERAL_REGISTERS[register], GENERAL_REGISTERS[rm]];
    return this.raw(0x48 | ((r >> 3) << 2) | (m >> 3), ...opcode, 0xc0 | ((r & 7) << 3) | (m & 7));
  }

  move(to: General, from: General): this {
    return this.registers([0x89], to, from);
  }

  /** `opcode /field imm8` with a 64-bit register. */
  registerByte(opcode: number, field: number, register: General, value: number): this {
    const m = GENERAL_REGISTERS[register];
    return this.raw(0x48 | (m >> 3), opcode, 0xc0 | (field << 3) | (m & 7), value);
  }

  /** `opcode /field imm32` with a 64-bit register. */
  registerInt(opcode: number, field: number, register: General, value: number): this {
    const m = GENERAL_REGISTERS[register];
    return this.raw(0x48 | (m >> 3), opcode, 0xc0 | (field << 3) | (m & 7)).int32(value);
  }

  /** Loads a register with 64 bits, in the shortest form. */
  constant(register: General, value: bigint): this {
    const number = GENERAL_REGISTERS[register];
    const unsigned = BigInt.asUintN(64, value);
    if (unsigned <= 0xffff_ffffn) {
      return this.#optionalRex(0, number)
        .raw(0xb8 | (number & 7))
        .int32(Number(BigInt.asIntN(32, unsigned)));
    }
    this.raw(0x48 | (number >> 3), 0xb8 | (number & 7));
    for (let shift = 0n; shift < 64n; shift += 8n) this.raw(Number((unsigned >> shift) & 0xffn));
    return this;
  }

  jump(label: string): this {
    return this.raw(0xe9).#distanceTo(label);
  }

  jumpIf(condition: number, label: string): this {
    return this.raw(0x0f, 0x80 | condition).#distanceTo(label);
  }

  call(label: string): this {
    return this.raw(0xe8).#distanceTo(label);
  }

  /** Jumps to an address outside. */
  jumpTo(target: number): this {
    return this.raw(0xe9).int32(this.#near(target - (this.here + 4)));
  }

  int32(value: number): this {
    return this.raw(value, value >> 8, value >> 16, value >> 24);
  }

  /** The bytes, with all labels' distances filled in. */
  finish(): Uint8Array {
    const bytes = Uint8Array.from(this.#bytes);
    const view = new DataView(bytes.buffer);
    for (const { at, label } of this.#distances) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new RangeError(`Cannot finish the code: it has no label ${label}`);
      view.setInt32(at, target - (at + 4), true);
    }
    return bytes;
  }

  #distanceTo(label: string): this {
    this.#distances.push({ at: this.#bytes.length, label });
    return this.int32(0);
  }

  #optionalRex(r: number, m: number): this {
    const rex = ((r >> 3) << 2) | (m >> 3);
    return rex === 0 ? this : this.raw(0x40 | rex);
  }

  #memory(
    opcode: readonly number[],
    register: number,
    operand: MemoryOperand,
    prefixes: readonly number[],
    isWide: boolean,
    behind: number,
  ): this {
    const base = 'base' in operand ? GENERAL_REGISTERS[operand.base] : 0;
    this.raw(...prefixes);
    const rex = (isWide ? 8 : 0) | ((register >> 3) << 2) | (base >> 3);
    if (rex !== 0) this.raw(0x40 | rex);
    this.raw(...opcode);
    const field = (register & 7) << 3;
    if ('at' in operand)
      return this.raw(0x05 | field).int32(this.#near(operand.at - (this.here + 4 + behind)));
    this.raw(0x80 | field | (base & 7));
    // A base of rsp or r12 takes a SIB byte.
    if ((base & 7) === 4) this.raw(0x24);
    return this.int32(operand.displacement);
  }

  #near(distance: number): number {
    if (distance !== (distance | 0))
      throw new RangeError(`Cannot reach ${distance} bytes with a 32-bit distance`);
    return distance;
  }
}
