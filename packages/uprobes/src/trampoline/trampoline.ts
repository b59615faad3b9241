/**
 * Makes the code that a place's jump leads to: it saves what it uses; for each probe there it looks at the gate, takes a slot in the
 * CPU's lane and stores the arguments; then it puts all back, runs the displaced instructions and goes on behind them. README.md tells
 * why it is as it is. It uses no vector register, makes system calls only for memory arguments, `$comm` and threads that it does not know, and
 * waits for nobody.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';
import type { CodeInstruction } from '../code/instruction.ts';
import { relocateAll } from '../code/relocation.ts';
import { type FetchArgument, type FetchSource, memoryOffsets } from '../definition/fetch-argument.ts';
import { recordSize } from '../definition/value-type.ts';
import { appendCopyRoutine, COPY_ROUTINE } from './copy-routine.ts';
import { GATE, LANE_HEADER, LANE_MARGIN, type LaneGeometry, SLOT } from './lane-layout.ts';
import { CONDITION, type General, MachineCode } from './machine-code.ts';
import { appendIdentityRoutine, appendThreadIdentity, PROCESS_WORDS } from './thread-identity.ts';

/** Bytes below the stack pointer that leaf functions use without moving it (System V ABI). */
const RED_ZONE = 128;
/** Saved before the gate is looked at. */
const SAVED_FIRST: readonly General[] = ['rax', 'rcx', 'rdx'];
/** Saved for a hit that is recorded, of which a system call changes the last three. */
const SAVED_THEN: readonly General[] = ['rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'];
/** Bytes that a text argument takes at most. */
export const TEXT_BYTES_MAX = 256;
/** Bytes of a thread's name with its end mark (PR_GET_NAME). */
const COMM_BYTES = 16;
/** The system call prctl, and its operation that gives the thread's name. */
const PRCTL = 157;
const PR_GET_NAME = 16;
/** More would not fit the slot's word of faults. */
export const TRAMPOLINE_ARGUMENTS_MAX = 64;

/**
 * Decides in a trampoline whether a hit is recorded, before a slot is taken: a hit that is not wanted costs no slot and is not
 * counted. The code may change rax, rcx, rdx, rsi, rdi, r8, r9 and r11, and the flags; labels begin with `prefix`.
 */
export interface TrampolineCondition {
  /**
   * @param code where it is appended
   * @param load appends what leaves a source's value in rax, whole; for sources and arguments without a look at memory
   * @param reject the label to jump to when the hit is not wanted
   * @param prefix of labels
   */
  append(code: MachineCode, load: (source: FetchSource) => void, reject: string, prefix: string): void;
}

/** One of the probes at a place. */
export interface TrampolineProbe {
  readonly arguments: readonly FetchArgument[];
  readonly lanes: LaneGeometry;
  /** Of its gate's cell (GATE), within 2 GiB of the trampoline. */
  readonly gateAddress: number;
  readonly condition?: TrampolineCondition;
}

/** What a trampoline is made from. */
export interface TrampolineInput {
  /** Where it will stand: within 2 GiB of the place, its targets and its words. */
  readonly address: number;
  readonly probeAddress: number;
  readonly displaced: readonly CodeInstruction[];
  /** The address behind the displaced instructions. */
  readonly continueAt: number;
  /** In the order in which they record. */
  readonly probes: readonly TrampolineProbe[];
  /** Of PROCESS_WORDS. */
  readonly processWords: number;
  /** Where the probed file's offset 0 is mapped, for `@+OFFSET`. */
  readonly fileBase: bigint;
}

/**
 * Where in a slot an argument's value is. Texts, `$comm` among them, begin with a 64-bit count of the bytes that were read; texts of
 * the definition are not there.
 */
export interface ValuePlace {
  readonly argument: FetchArgument;
  readonly offset: number;
  readonly size: number;
}

/** Where the values are, and how large the slot must be. Values are whole, not cut to a bit field. */
export function slotLayout(fetched: readonly FetchArgument[]): { places: ValuePlace[]; size: number } {
  let offset: number = SLOT.values;
  const places = fetched.map((argument): ValuePlace => {
    const bytes = slotBytes(argument);
    const place = { argument, offset, size: bytes };
    offset += Math.ceil(bytes / 8) * 8;
    return place;
  });
  return { places, size: offset };
}

function slotBytes({ source, type }: FetchArgument): number {
  if (source.kind === 'text') return 0;
  if (source.kind === 'comm') return 8 + COMM_BYTES;
  return type.basic.isText ? 8 + TEXT_BYTES_MAX : Math.max(8, recordSize(type));
}

/** Whether a trampoline can fetch an argument at all; what it cannot needs a breakpoint, or the reader. */
export function canFetch({ source, type }: FetchArgument): boolean {
  if (type.basic.isText && type.count !== undefined) return false;
  return source.kind !== 'return-value';
}

/** Which register of the program a definition's name means. */
const PROGRAM_REGISTERS: Readonly<Record<string, General>> = {
  ax: 'rax',
  bx: 'rbx',
  cx: 'rcx',
  dx: 'rdx',
  si: 'rsi',
  di: 'rdi',
  bp: 'rbp',
  ...Object.fromEntries(
    (['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const).map((name) => [name, name]),
  ),
};

/** What user programs have in these, always. */
const CONSTANT_REGISTERS: Readonly<Record<string, bigint>> = { cs: 0x33n, ss: 0x2bn, orig_ax: -1n };

/**
 * The trampoline's bytes.
 *
 * @throws {UnmovableInstruction} if a displaced instruction cannot run there
 * @throws {RangeError} if something is too far away
 */
export function makeTrampoline(input: TrampolineInput): Uint8Array {
  return new TrampolineMaker(input).make();
}

class TrampolineMaker {
  readonly #input: TrampolineInput;
  readonly #code: MachineCode;

  constructor(input: TrampolineInput) {
    this.#input = input;
    this.#code = new MachineCode(input.address);
  }

  make(): Uint8Array {
    const code = this.#code;
    const { probes, displaced, continueAt, processWords } = this.#input;
    // lea keeps the flags.
    code.lea('rsp', { base: 'rsp', displacement: -RED_ZONE });
    for (const register of SAVED_FIRST) code.push(register);
    code.raw(0x9c); // pushfq: the arithmetic flags, and the direction that nobody here changes
    this.#lookAtGates();
    for (const register of SAVED_THEN) code.push(register);
    for (const [index, probe] of probes.entries()) this.#record(probe, index);
    for (const register of SAVED_THEN.toReversed()) code.pop(register);
    code.label('restore').raw(0x9d); // popfq
    for (const register of SAVED_FIRST.toReversed()) code.pop(register);
    code.lea('rsp', { base: 'rsp', displacement: RED_ZONE });
    code.append(relocateAll(displaced, code.here));
    code.jumpTo(continueAt);
    for (const [index, probe] of probes.entries()) this.#withoutRecord(probe, index);
    appendCopyRoutine(code, processWords + PROCESS_WORDS.processId);
    appendIdentityRoutine(code, processWords);
    return code.finish();
  }

  /** Goes on only if a gate is open. */
  #lookAtGates(): void {
    const code = this.#code;
    const gates = this.#input.probes.map(({ gateAddress }) => ({ at: gateAddress + GATE.probe }));
    for (const gate of gates.slice(0, -1)) {
      code.memoryImmediate([0x81], 7, gate, 0, false).jumpIf(CONDITION.notEqual, 'open'); // cmp
    }
    for (const gate of gates.slice(-1)) {
      code.memoryImmediate([0x81], 7, gate, 0, false).jumpIf(CONDITION.equal, 'restore');
    }
    code.label('open');
  }

  /** One probe's hit. What its gate has is looked at once: the hit belongs to whoever that number means. */
  #record(probe: TrampolineProbe, index: number): void {
    const code = this.#code;
    const { places } = slotLayout(probe.arguments);
    code.withMemory32([0x8b], GENERAL_REGISTERS.rax, { at: probe.gateAddress + GATE.probe });
    code.raw(0x85, 0xc0).jumpIf(CONDITION.equal, `done-${index}`).push('rax'); // test eax, eax
    probe.condition?.append(
      code,
      (source) => this.#source(source),
      `unwanted-${index}`,
      `condition-${index}-`,
    );
    appendThreadIdentity(code, this.#input.processWords, `thread-${index}-`);
    this.#takeSlot(probe, index);
    for (const [number, place] of places.entries()) this.#fetch(place, number, `fetched-${index}-${number}`);
    // The sequence last: stores become visible in their order.
    code.pop('rax').store({ base: 'rdi', displacement: SLOT.sequence }, 'rax');
    code.label(`done-${index}`);
  }

  /** What a hit does that has no slot. */
  #withoutRecord({ gateAddress }: TrampolineProbe, index: number): void {
    const code = this.#code;
    code.label(`lost-${index}`).raw(0xf0);
    code.memoryImmediate([0x81], 0, { base: 'rdi', displacement: LANE_HEADER.lost }, 1, true).raw(0xf0);
    code.memoryImmediate([0x81], 0, { at: gateAddress + GATE.misses }, 1, true);
    code.label(`unwanted-${index}`).pop('rax').jump(`done-${index}`);
  }

  /** Leaves the slot in rdi and its sequence on the stack, where the probe's number was; the thread is in r9. */
  #takeSlot({ lanes }: TrampolineProbe, index: number): void {
    const code = this.#code;
    code.raw(0x0f, 0x01, 0xf9); // rdtscp: edx:eax time, ecx cpu and node
    code.registerByte(0xc1, 4, 'rdx', 32).registers([0x09], 'rdx', 'rax');
    code.move('rsi', 'rcx');
    code
      .registerInt(0x81, 4, 'rcx', (1 << lanes.laneCountShift) - 1)
      .registerByte(0xc1, 4, 'rcx', lanes.laneSizeShift);
    code.constant('rdi', BigInt(lanes.address)).registers([0x01], 'rdi', 'rcx');
    code.load('rax', { base: 'rdi', displacement: LANE_HEADER.head });
    code.withMemory([0x2b], GENERAL_REGISTERS.rax, { base: 'rdi', displacement: LANE_HEADER.tail }); // sub rax, tail
    code.registerInt(0x81, 7, 'rax', (1 << lanes.slotCountShift) - LANE_MARGIN); // cmp
    code.jumpIf(CONDITION.aboveOrEqual, `lost-${index}`);
    code.constant('rax', 1n);
    code.withMemory(
      [0x0f, 0xc1],
      GENERAL_REGISTERS.rax,
      { base: 'rdi', displacement: LANE_HEADER.head },
      [0xf0],
    ); // lock xadd
    code.move('rcx', 'rax').registerInt(0x81, 4, 'rcx', (1 << lanes.slotCountShift) - 1);
    code.registerByte(0xc1, 4, 'rcx', lanes.slotSizeShift).registers([0x01], 'rdi', 'rcx');
    code.registerInt(0x81, 0, 'rdi', LANE_HEADER.size);
    code.registerByte(0x83, 0, 'rax', 1).pop('rcx').push('rax');
    code.store({ base: 'rdi', displacement: SLOT.time }, 'rdx');
    code.withMemory32([0x89], GENERAL_REGISTERS.r9, { base: 'rdi', displacement: SLOT.tid });
    code.withMemory32([0x89], GENERAL_REGISTERS.rcx, { base: 'rdi', displacement: SLOT.probe });
    code.withMemory32([0x89], GENERAL_REGISTERS.rsi, { base: 'rdi', displacement: SLOT.cpu });
    code.withMemory32([0x8b], GENERAL_REGISTERS.rax, {
      at: this.#input.processWords + PROCESS_WORDS.processId,
    });
    code.withMemory32([0x89], GENERAL_REGISTERS.rax, { base: 'rdi', displacement: SLOT.pid });
    code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: SLOT.faults }, 0, true);
  }

  /** Stores an argument's value: from its source, through its dereferences. */
  #fetch({ argument, offset }: ValuePlace, index: number, fetched: string): void {
    const code = this.#code;
    if (argument.source.kind === 'text') return;
    if (argument.source.kind === 'comm') {
      this.#threadName(offset);
      return;
    }
    const steps = memoryOffsets(argument);
    this.#source(argument.source);
    if (steps.length === 0) {
      code.store({ base: 'rdi', displacement: offset }, 'rax');
      return;
    }
    for (const [at, step] of steps.entries()) {
      const isLast = at === steps.length - 1;
      const isText = isLast && argument.type.basic.isText;
      const bytes = isText ? TEXT_BYTES_MAX : isLast ? recordSize(argument.type) : 8;
      this.#add('rax', step);
      // Zero first: what cannot be read is 0, and a small value has no old bytes above it.
      code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: offset }, 0, true);
      code.move('rsi', 'rax').constant('rdx', BigInt(bytes));
      code.lea('r8', { base: 'rdi', displacement: isText ? offset + 8 : offset }).call(COPY_ROUTINE);
      if (isText) {
        code.store({ base: 'rdi', displacement: offset }, 'rax').registers([0x85], 'rax', 'rax'); // test
        code.jumpIf(CONDITION.notNegative, fetched);
      } else {
        code.registerInt(0x81, 7, 'rax', bytes).jumpIf(CONDITION.equal, `${fetched}-${at}`); // cmp
      }
      // bts: the bit of this argument's fault.
      code.withMemory([0x0f, 0xba], 5, { base: 'rdi', displacement: SLOT.faults }).raw(index);
      code.jump(fetched).label(`${fetched}-${at}`);
      if (!isLast) code.load('rax', { base: 'rdi', displacement: offset });
    }
    code.label(fetched);
  }

  /** Stores the thread's name as a text: when the hit is read the thread may have another, or be gone. */
  #threadName(offset: number): void {
    const code = this.#code;
    code.push('rdi').lea('rsi', { base: 'rdi', displacement: offset + 8 });
    code.constant('rdi', BigInt(PR_GET_NAME)).constant('rax', BigInt(PRCTL)).raw(0x0f, 0x05).pop('rdi');
    code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: offset }, COMM_BYTES, true);
  }

  /** Loads rax with where an argument begins. */
  #source(source: FetchSource): void {
    const code = this.#code;
    const saved = this.#saved();
    switch (source.kind) {
      case 'register': {
        const constant = CONSTANT_REGISTERS[source.register];
        const register = PROGRAM_REGISTERS[source.register];
        if (constant !== undefined) code.constant('rax', constant);
        else if (source.register === 'ip') code.constant('rax', BigInt(this.#input.probeAddress));
        else if (source.register === 'sp') code.lea('rax', { base: 'rsp', displacement: saved.total });
        else if (source.register === 'flags') code.load('rax', { base: 'rsp', displacement: saved.flags });
        else if (register !== undefined) this.#programRegister(register, saved);
        break;
      }
      case 'stack-pointer':
        code.lea('rax', { base: 'rsp', displacement: saved.total });
        break;
      case 'stack':
        code.lea('rax', { base: 'rsp', displacement: saved.total });
        this.#add('rax', source.index * 8n);
        break;
      case 'immediate':
        code.constant('rax', source.value);
        break;
      case 'address':
        code.constant('rax', source.address);
        break;
      case 'file-offset':
        code.constant('rax', this.#input.fileBase + source.offset);
        break;
      default:
        code.constant('rax', 0n);
    }
  }

  #programRegister(register: General, saved: { readonly offsets: ReadonlyMap<General, number> }): void {
    const offset = saved.offsets.get(register);
    if (offset === undefined) this.#code.move('rax', register);
    else this.#code.load('rax', { base: 'rsp', displacement: offset });
  }

  /** Where the program's registers are on the stack while arguments are fetched. */
  #saved(): {
    readonly offsets: ReadonlyMap<General, number>;
    readonly flags: number;
    readonly total: number;
  } {
    const offsets = new Map<General, number>();
    let offset = 8; // the probe's number, then the sequence
    for (const register of SAVED_THEN.toReversed()) {
      offsets.set(register, offset);
      offset += 8;
    }
    const flags = offset;
    offset += 8;
    for (const register of SAVED_FIRST.toReversed()) {
      offsets.set(register, offset);
      offset += 8;
    }
    return { offsets, flags, total: offset + RED_ZONE };
  }

  #add(register: General, value: bigint): void {
    if (value === 0n) return;
    if (value === BigInt.asIntN(32, value)) this.#code.registerInt(0x81, 0, register, Number(value));
    else this.#code.constant('rcx', value).registers([0x01], register, 'rcx');
  }
}
