/**
 * A function with a jump to a trampoline, and which memory stands where, for the programs that call it
 * (tests/programs/trampoline-run.c, copy-run.c).
 */
import {
  disassemble,
  GATE,
  LANE_HEADER,
  type LaneShape,
  makeTrampoline,
  PROCESS_WORDS,
  type TrampolineInput,
  type TrampolineProbe,
} from '@usertrace/uprobes';

export const FUNCTION = 0x2000_0000;
export const LANES = 0x6000_0000;
export const PAGE = 4096;
const TRAMPOLINE = 0x5000_0000;
const TRAMPOLINE_BYTES = 0x4000;
/** The gates; the words of the process are on the page behind them. */
const WORDS = 0x5001_0000;

/** lea rax,[rdi+rsi]; mov [rsp-8],rax (the red zone); mov rax,[rsp-8]; add rax,7; ret. */
const CODE = Buffer.from('488d043748894424f8488b4424f84883c007c3', 'hex');

/** Memory of the program, zeroed behind the bytes. */
interface Segment {
  readonly address: number;
  readonly size: number;
  readonly bytes: Uint8Array;
}

/** What is probed, and how. */
export interface ProbedFunction {
  /** The lanes of all are at LANES. */
  readonly probes: readonly Omit<TrampolineProbe, 'gateAddress'>[];
  /** What each probe's gate has. */
  readonly gates: readonly number[];
  /** In bytes. */
  readonly lanesSize: number;
  readonly certainMemory?: NonNullable<TrampolineInput['certainMemory']>;
  /** If the `ret` is probed. */
  readonly isReturn?: boolean;
  /** If the jump is there, as it is unless this is false. */
  readonly isProbed?: boolean;
}

/** The function, its trampoline, the gates and the lanes. */
export function segmentsOf({ probes, gates, lanesSize, ...how }: ProbedFunction): Segment[] {
  const { instructions } = disassemble(CODE, FUNCTION);
  const displaced = how.isReturn === true ? instructions.slice(-2) : instructions.slice(0, 2);
  const jumpAt = displaced[0]?.address ?? FUNCTION;
  const trampoline = makeTrampoline({
    address: TRAMPOLINE,
    probeAddress: FUNCTION,
    displaced,
    continueAt: jumpAt + displaced.reduce((sum, instruction) => sum + instruction.length, 0),
    ...(how.isReturn === true ? { returning: { poppedBytes: 0 } } : {}),
    probes: probes.map((probe, index) => ({ ...probe, gateAddress: WORDS + index * GATE.size })),
    processWords: WORDS + PAGE,
    ...(how.certainMemory === undefined ? {} : { certainMemory: how.certainMemory }),
    fileBase: BigInt(FUNCTION),
  });
  const code = Buffer.from(CODE);
  if (how.isProbed !== false) {
    code.writeUInt8(0xe9, jumpAt - FUNCTION);
    code.writeInt32LE(TRAMPOLINE - (jumpAt + 5), jumpAt - FUNCTION + 1);
  }
  const words = Buffer.alloc(gates.length * GATE.size);
  for (const [index, gate] of gates.entries()) words.writeUInt32LE(gate, index * GATE.size + GATE.probe);
  return [
    { address: FUNCTION, size: PAGE, bytes: code },
    { address: TRAMPOLINE, size: TRAMPOLINE_BYTES, bytes: trampoline },
    { address: WORDS, size: PAGE + PROCESS_WORDS.size, bytes: words },
    { address: LANES, size: lanesSize, bytes: Buffer.alloc(0) },
  ];
}

/** The smallest lanes with 2^slotCountShift slots of a size. */
export function laneShape(slotSize: number, slotCountShift: number, laneCountShift: number): LaneShape {
  const slotSizeShift = Math.ceil(Math.log2(slotSize));
  const laneSizeShift = Math.ceil(Math.log2(LANE_HEADER.size + 2 ** (slotCountShift + slotSizeShift)));
  return { laneCountShift, laneSizeShift, slotSizeShift, slotCountShift };
}

/** Segments as the programs read them. */
export function segmentBytes(segments: readonly Segment[]): Uint8Array {
  return Buffer.concat(
    segments.flatMap(({ address, size, bytes }) => [numbers(address, size, bytes.length), bytes]),
  );
}

/** Numbers as the programs read them: 8 bytes each. */
export function numbers(...values: readonly (number | bigint)[]): Buffer {
  return Buffer.from(BigUint64Array.from(values, BigInt).buffer);
}
