/**
 * The memory file of one process and its forks' children, as the tracer has it: mapped, with the gates that it opens and shuts. Each
 * space in which it is mapped uses it; who drains it may keep it longer than all of them, and closes it.
 *
 * The programs may write anything into it: nothing that is read from it is believed.
 */

import { closeSync, constants, ftruncateSync, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { systemCallNumber } from '@usertrace/abi';
import { ErrnoError } from '@usertrace/base';
import { checked, libc, startTicksOf, unmapShared, viewOf } from '@usertrace/linux';
import type { Examination } from '@usertrace/utrace';
import { fileIdentity } from '../process/process-maps.ts';
import {
  CONTROL,
  CONTROL_MAGIC,
  CONTROL_VERSION,
  GATE,
  GATES_MAX,
  type LaneGeometry,
  type LaneSet,
  LANES_NAME,
  laneSets,
  lanesFileSize,
} from '../trampoline/lane-layout.ts';
import { remoteCall } from './remote-memory.ts';

/** System calls (x86-64). */
const CALL = {
  close: systemCallNumber('close'),
  mmap: systemCallNumber('mmap'),
  memfdCreate: systemCallNumber('memfd_create'),
} as const;
/** MFD_CLOEXEC | MFD_ALLOW_SEALING */
const MEMFD_FLAGS = 3n;
const F_ADD_SEALS = 1033;
/** F_SEAL_SHRINK | F_SEAL_GROW: a file that is cut would fault who has it mapped. */
const SEALS = 6;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/** Gates and lanes. */
export class SharedLanes {
  readonly sets: readonly LaneSet[];
  /** The file's bytes. */
  readonly memory: ArrayBuffer;
  /** As /proc/PID/maps shows the file. */
  readonly identity: string;
  /** Where the programs have its first byte, all the same. */
  readonly addressInProgram: number;
  readonly #address: number;
  readonly #control: DataView;
  /** The offset of each probe's cell. */
  readonly #gates = new Map<string, number>();
  #userCount = 1;

  /**
   * Makes the file in a program and maps it there and here. The program has no descriptor of it afterwards.
   *
   * @param look at a stopped thread that can call the system
   * @param tid that thread's
   * @param scratch an address where the program can write LANES_NAME
   * @throws {ErrnoError} what a call answered; ENOMEM when there is no memory for it
   */
  static create(look: Examination, tid: number, scratch: number): SharedLanes {
    const sets = laneSets(availableParallelism());
    const size = lanesFileSize(sets);
    look.write(BigInt(scratch), Buffer.from(`${LANES_NAME}\0`));
    const remote = remoteCall(look, CALL.memfdCreate, [BigInt(scratch), MEMFD_FLAGS], 'make lanes');
    look.write(BigInt(scratch), new Uint8Array(LANES_NAME.length + 1));
    try {
      const args = [0n, BigInt(size), BigInt(PROT_READ_WRITE), BigInt(MAP_SHARED), remote, 0n];
      const fd = openSync(`/proc/${tid}/fd/${remote}`, constants.O_RDWR);
      try {
        // By us: the program may have a limit of file sizes, and would be sent SIGXFSZ.
        ftruncateSync(fd, size);
        checked(libc().fcntl(fd, F_ADD_SEALS, SEALS), 'seal lanes');
        const address = Number(remoteCall(look, CALL.mmap, args, 'map lanes'));
        return new SharedLanes(fd, sets, fileIdentity(`/proc/self/fd/${fd}`), address);
      } finally {
        closeSync(fd);
      }
    } finally {
      look.systemCall(CALL.close, [remote]);
    }
  }

  private constructor(fd: number, sets: readonly LaneSet[], identity: string, addressInProgram: number) {
    this.sets = sets;
    this.identity = identity;
    this.addressInProgram = addressInProgram;
    const size = lanesFileSize(sets);
    this.#address = checked(
      libc().mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0),
      `map ${size} bytes of lanes`,
    );
    this.memory = viewOf(this.#address, size);
    this.#control = new DataView(this.memory);
    this.#control.setUint32(CONTROL.magic, CONTROL_MAGIC, true);
    this.#control.setUint32(CONTROL.version, CONTROL_VERSION, true);
    this.#control.setUint32(CONTROL.owner, process.pid, true);
    this.#control.setBigUint64(CONTROL.ownerStart, BigInt(startTicksOf('self')), true);
  }

  /** Whether a program has it mapped. */
  get isUsed(): boolean {
    return this.#userCount > 0;
  }

  /** One more space has it. */
  use(): this {
    this.#userCount += 1;
    return this;
  }

  /** A space is gone, or has it no longer. What was recorded can still be read. */
  unuse(): void {
    this.#userCount -= 1;
  }

  /** Unmaps it here. Nothing may read `memory` any more. */
  close(): void {
    unmapShared(this.#address, this.memory.byteLength);
  }

  /**
   * The lanes for hits of a size.
   *
   * @param slotSize bytes
   * @returns undefined when a hit is too large for any
   */
  geometryFor(slotSize: number): LaneGeometry | undefined {
    const found = this.sets.find(({ slotSizeShift }) => slotSize <= 1 << slotSizeShift);
    return found === undefined ? undefined : { ...found, address: this.addressInProgram + found.offset };
  }

  /**
   * The gate of a probe. A gate is never another's: a fork's child may have a jump that leads to it for as long as it lives.
   *
   * @param key what tells the probe from others, in all programs that share the lanes
   * @returns the offset of its cell in the control part
   * @throws {ErrnoError} ENOSPC when there were GATES_MAX probes
   */
  gateOf(key: string): number {
    const known = this.#gates.get(key);
    if (known !== undefined) return known;
    const index = this.#gates.size;
    if (index >= GATES_MAX)
      throw new ErrnoError('ENOSPC', `Cannot have more than ${GATES_MAX} probes by jump in a program`);
    const offset = CONTROL.gates + index * GATE.size;
    this.#gates.set(key, offset);
    return offset;
  }

  /**
   * Opens a probe's gate, or shuts it.
   *
   * @param probe what its hits go by from now on; 0 shuts it
   */
  setGate(key: string, probe: number): void {
    const offset = this.#gates.get(key);
    if (offset !== undefined) this.#control.setUint32(offset + GATE.probe, probe, true);
  }

  /** Hits of a probe that found no slot, in all its life. */
  misses(key: string): bigint {
    const offset = this.#gates.get(key);
    return offset === undefined ? 0n : this.#control.getBigUint64(offset + GATE.misses, true);
  }
}
