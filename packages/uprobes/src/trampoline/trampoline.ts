/**
 * Makes the code that a place's jump leads to: it saves what it uses; for each probe there it looks at the gate, takes a slot in the
 * CPU's lane and stores the arguments; then it puts all back, runs the displaced instructions and goes on behind them. Of a return it
 * runs those before the `ret` first, and the `ret` last, with the program's own return address. README.md tells why it is as it is. It uses no vector register, makes system calls only for memory arguments, `$comm` and threads that it does not know, and
 * waits for nobody.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';
import type { CodeInstruction } from '../code/instruction.ts';
import { relocateAll } from '../code/relocation.ts';
import type { ReturnSite } from '../code/return-sites.ts';
import { type FetchArgument, type FetchSource, memoryOffsets } from '../definition/fetch-argument.ts';
import { recordSize } from '../definition/value-type.ts';
import { appendCopyRoutine, type CertainMemory, COPY_ROUTINE, ITEMS_ROUTINE } from './copy-routine.ts';
import { GATE, LANE_HEADER, LANE_MARGIN, type LaneGeometry, SLOT, VOID_PROBE } from './lane-layout.ts';
import { CONDITION, type General, MachineCode } from './machine-code.ts';
import { COMM_BYTES, slotLayout, TEXT_WORD, type ValuePlace } from './slot-layout.ts';
import { appendTextRoutines, TEXT_ROUTINE, TEXTS_ROUTINE } from './text-routine.ts';
import { appendIdentityRoutine, appendThreadIdentity, PROCESS_WORDS } from './thread-identity.ts';

/** Bytes below the stack pointer that leaf functions use without moving it (System V ABI). */
const RED_ZONE = 128;
/** What a `ret` takes from the stack at least. */
const RETURN_ADDRESS_BYTES = 8;
/** Saved before the gate is looked at. */
const SAVED_FIRST: readonly General[] = ['rax', 'rcx', 'rdx'];
/** Saved for a hit that is recorded, of which a system call changes the last three. */
const SAVED_THEN: readonly General[] = ['rsi', 'rdi', 'r8', 'r9', 'r10', 'r11'];
/** The system call prctl, and its operation that gives the thread's name. */
const PRCTL = 157;
const PR_GET_NAME = 16;

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
  /** For hits whose texts have no room in a slot of `lanes`: slots of LONG_TEXTS_SIZE. */
  readonly longTextLanes?: LaneGeometry;
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
  /** If the last displaced instruction is the `ret` that is probed: the others run before the hit. */
  readonly returning?: Pick<ReturnSite, 'poppedBytes'>;
  /** In the order in which they record. */
  readonly probes: readonly TrampolineProbe[];
  /** Of PROCESS_WORDS. */
  readonly processWords: number;
  /** What is read without asking the kernel. */
  readonly certainMemory?: readonly CertainMemory[];
  /** Where the probed file's offset 0 is mapped, for `@+OFFSET`. */
  readonly fileBase: bigint;
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
    const { probes, displaced, continueAt, returning, processWords } = this.#input;
    const countBefore = returning === undefined ? 0 : displaced.length - 1;
    code.append(relocateAll(displaced.slice(0, countBefore), code.here));
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
    code.append(relocateAll(displaced.slice(countBefore), code.here));
    if (returning === undefined) code.jumpTo(continueAt);
    for (const [index, probe] of probes.entries()) this.#withoutRecord(probe, index);
    appendCopyRoutine(code, processWords + PROCESS_WORDS.processId, this.#input.certainMemory ?? []);
    if (probes.some((probe) => slotLayout(probe.arguments).textCount > 0)) appendTextRoutines(code);
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
    code.withMemory32([0x8b], GENERAL_REGISTERS.rax, { at: probe.gateAddress + GATE.probe });
    code.raw(0x85, 0xc0).jumpIf(CONDITION.equal, `done-${index}`).push('rax'); // test eax, eax
    probe.condition?.append(
      code,
      (source) => this.#source(source),
      `unwanted-${index}`,
      `condition-${index}-`,
    );
    appendThreadIdentity(code, this.#input.processWords, `thread-${index}-`);
    this.#takeSlot(probe.lanes, index);
    const isCut = probe.longTextLanes === undefined;
    this.#fillSlot(probe, probe.lanes, `fetched-${index}`, isCut ? undefined : `long-${index}`);
    code.label(`done-${index}`);
  }

  /**
   * Stores all values and publishes the slot that rdi has.
   *
   * @param prefix of labels
   * @param tooLong where it goes on when the texts have no room; without it they are cut
   */
  #fillSlot(
    probe: TrampolineProbe,
    { slotSizeShift }: LaneGeometry,
    prefix: string,
    tooLong: string | undefined,
  ): void {
    const code = this.#code;
    if (this.#input.returning !== undefined) {
      code.load('rax', { base: 'rsp', displacement: this.#saved().total });
      code.store({ base: 'rdi', displacement: SLOT.returnAddress }, 'rax');
    }
    const { places, textsAt, textCount } = slotLayout(probe.arguments);
    // Where the following text goes stays in r10.
    if (textCount > 0) code.lea('r10', { base: 'rdi', displacement: textsAt });
    for (const [number, place] of places.entries())
      this.#fetch(place, number, `${prefix}-${number}`, 1 << slotSizeShift, tooLong);
    // The sequence last: stores become visible in their order.
    code.pop('rax').store({ base: 'rdi', displacement: SLOT.sequence }, 'rax');
  }

  /** What a hit does that has no slot, or needs a larger one. */
  #withoutRecord(probe: TrampolineProbe, index: number): void {
    const code = this.#code;
    const { gateAddress, longTextLanes } = probe;
    if (longTextLanes !== undefined) {
      // The slot is published as nobody's hit.
      code.label(`long-${index}`).pop('rdx');
      code.withMemory32([0x8b], GENERAL_REGISTERS.r9, { base: 'rdi', displacement: SLOT.tid });
      code.withMemory32([0x8b], GENERAL_REGISTERS.rax, { base: 'rdi', displacement: SLOT.probe }).push('rax');
      code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: SLOT.probe }, VOID_PROBE, false);
      code.store({ base: 'rdi', displacement: SLOT.sequence }, 'rdx');
      this.#takeSlot(longTextLanes, index);
      this.#fillSlot(probe, longTextLanes, `fetched-long-${index}`, undefined);
      code.jump(`done-${index}`);
    }
    code.label(`lost-${index}`).raw(0xf0);
    code.memoryImmediate([0x81], 0, { base: 'rdi', displacement: LANE_HEADER.lost }, 1, true).raw(0xf0);
    code.memoryImmediate([0x81], 0, { at: gateAddress + GATE.misses }, 1, true);
    code.label(`unwanted-${index}`).pop('rax').jump(`done-${index}`);
  }

  /** Leaves the slot in rdi and its sequence on the stack, where the probe's number was; the thread is in r9. */
  #takeSlot(lanes: LaneGeometry, index: number): void {
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
  #fetch(
    { argument, offset }: ValuePlace,
    index: number,
    prefix: string,
    slotSize: number,
    tooLong: string | undefined,
  ): void {
    const code = this.#code;
    const { source, type } = argument;
    if (source.kind === 'text') return;
    if (source.kind === 'comm') {
      this.#threadName(offset);
      return;
    }
    const offsets = memoryOffsets(argument);
    const last = offsets.pop();
    this.#source(source);
    if (last === undefined) {
      if (type.basic.isText) this.#markFault(index);
      else code.store({ base: 'rdi', displacement: offset }, 'rax');
      return;
    }
    for (const step of offsets) {
      this.#add('rax', step);
      code.move('rsi', 'rax').constant('rdx', 8n).lea('r8', { base: 'rdi', displacement: offset });
      code.call(COPY_ROUTINE).registerInt(0x81, 7, 'rax', 8); // cmp
      code.jumpIf(CONDITION.notEqual, `${prefix}-fault`).load('rax', { base: 'rdi', displacement: offset });
    }
    this.#add('rax', last);
    code.move('rsi', 'rax').lea('r8', { base: 'rdi', displacement: offset });
    if (type.basic.isText) this.#copyTexts(type.count, slotSize, tooLong);
    else {
      const bytes = recordSize(type);
      // A small value has no old bytes above it.
      if (bytes < 8) code.memoryImmediate([0xc7], 0, { base: 'rdi', displacement: offset }, 0, true);
      code.constant('rdx', BigInt(bytes));
      if (type.count === undefined) code.call(COPY_ROUTINE);
      else code.constant('r9', BigInt(type.basic.size)).call(ITEMS_ROUTINE);
      code.registers([0x85], 'rax', 'rax'); // test
      // What is before the end of memory is told.
      code.jumpIf(CONDITION.lessOrEqual, `${prefix}-fault`);
    }
    code.jump(prefix).label(`${prefix}-fault`);
    this.#markFault(index);
    code.label(prefix);
  }

  /** bts: the bit of an argument's fault. */
  #markFault(index: number): void {
    this.#code.withMemory([0x0f, 0xba], 5, { base: 'rdi', displacement: SLOT.faults }).raw(index);
  }

  /** @param count of an array's items */
  #copyTexts(count: number | undefined, slotSize: number, tooLong: string | undefined): void {
    const code = this.#code;
    code.lea('r9', { base: 'rdi', displacement: slotSize });
    if (count === undefined) code.call(TEXT_ROUTINE);
    else code.constant('rdx', BigInt(count)).call(TEXTS_ROUTINE);
    if (tooLong !== undefined) code.raw(0x85, 0xc0).jumpIf(CONDITION.notEqual, tooLong); // test eax, eax
  }

  /** Stores the thread's name as a text: when the hit is read the thread may have another, or be gone. */
  #threadName(offset: number): void {
    const code = this.#code;
    const text = offset + TEXT_WORD.size;
    code.push('rdi').lea('rsi', { base: 'rdi', displacement: text });
    code.constant('rdi', BigInt(PR_GET_NAME)).constant('rax', BigInt(PRCTL)).raw(0x0f, 0x05).pop('rdi');
    const word = (field: number): { base: 'rdi'; displacement: number } => ({
      base: 'rdi',
      displacement: offset + field,
    });
    code.memoryImmediate([0xc7], 0, word(TEXT_WORD.offset), text, false);
    code.memoryImmediate([0xc7], 0, word(TEXT_WORD.length), COMM_BYTES, false);
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
        else if (source.register === 'ip') this.#instructionPointer(saved);
        else if (source.register === 'sp') code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
        else if (source.register === 'flags') code.load('rax', { base: 'rsp', displacement: saved.flags });
        else if (register !== undefined) this.#programRegister(register, saved);
        break;
      }
      case 'stack-pointer':
        code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
        break;
      case 'return-value':
        this.#programRegister('rax', saved);
        break;
      case 'stack':
        code.lea('rax', { base: 'rsp', displacement: saved.stackPointer });
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

  /** A return is told as its caller sees it. */
  #instructionPointer({ total }: { readonly total: number }): void {
    const { returning, probeAddress } = this.#input;
    if (returning === undefined) this.#code.constant('rax', BigInt(probeAddress));
    else this.#code.load('rax', { base: 'rsp', displacement: total });
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
    /** Where the stack pointer was. */
    readonly total: number;
    /** What the program takes for its stack pointer: after the `ret` of a return. */
    readonly stackPointer: number;
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
    const { returning } = this.#input;
    const total = offset + RED_ZONE;
    const popped = returning === undefined ? 0 : RETURN_ADDRESS_BYTES + returning.poppedBytes;
    return { offsets, flags, total, stackPointer: total + popped };
  }

  #add(register: General, value: bigint): void {
    if (value === 0n) return;
    if (value === BigInt.asIntN(32, value)) this.#code.registerInt(0x81, 0, register, Number(value));
    else this.#code.constant('rcx', value).registers([0x01], register, 'rcx');
  }
}
