/**
 * Makes the code that a place's jump leads to: it saves what it uses; for each probe there it looks at the gate, takes a slot in the
 * CPU's lane and stores the arguments; then it puts all back, runs the displaced instructions and goes on behind them. Of a return it
 * runs those before the `ret` first, and the `ret` last, with the program's own return address. README.md tells why it is as it is. It
 * uses no vector register, makes system calls only for memory arguments, `$comm` and threads that it does not know, and waits for
 * nobody.
 */

import { GENERAL_REGISTERS } from '@usertrace/abi';
import type { CodeInstruction } from '../code/instruction.ts';
import { relocateAll } from '../code/relocation.ts';
import type { FetchArgument, FetchSource } from '../definition/fetch-argument.ts';
import { appendArgument } from './argument-store.ts';
import { appendCopyRoutine, type CertainMemory } from './copy-routine.ts';
import { GATE, LANE_HEADER, LANE_MARGIN, type LaneGeometry, SLOT, VOID_PROBE } from './lane-layout.ts';
import { CONDITION, MachineCode } from './machine-code.ts';
import { RED_ZONE, SAVED_FIRST, SAVED_THEN, savedRegisters } from './saved-registers.ts';
import { slotLayout } from './slot-layout.ts';
import { appendSourceLoad, type SourcePlace } from './source-load.ts';
import { appendTextRoutines } from './text-routine.ts';
import { appendIdentityRoutine, appendThreadIdentity, PROCESS_WORDS } from './thread-identity.ts';

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
export interface TrampolineInput extends SourcePlace {
  /** Where it will stand: within 2 GiB of the place, its targets and its words. */
  readonly address: number;
  /** If it is a return that is probed, the last of them is the `ret`: the others run before the hit. */
  readonly displaced: readonly CodeInstruction[];
  /** The address behind the displaced instructions. */
  readonly continueAt: number;
  /** In the order in which they record. */
  readonly probes: readonly TrampolineProbe[];
  /** Of PROCESS_WORDS. */
  readonly processWords: number;
  /** What is read without asking the kernel. */
  readonly certainMemory?: readonly CertainMemory[];
}

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
      (source) => appendSourceLoad(code, source, this.#input),
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
      code.load('rax', { base: 'rsp', displacement: savedRegisters(this.#input.returning).stackTop });
      code.store({ base: 'rdi', displacement: SLOT.returnAddress }, 'rax');
    }
    const { places, textsAt, textCount } = slotLayout(probe.arguments);
    // Where the following text goes stays in r10.
    if (textCount > 0) code.lea('r10', { base: 'rdi', displacement: textsAt });
    for (const [number, place] of places.entries()) {
      const slot = { number, slotSize: 1 << slotSizeShift, tooLong };
      appendArgument(code, place, this.#input, slot, `${prefix}-${number}`);
    }
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
}
