/**
 * `trace_pipe` and `trace_pipe_raw`: reading takes entries out of the buffer, and waits when there are none. Each
 * open file holds what it has taken and not handed out yet.
 */

import { SUB_BUFFER_SIZE } from '@usertrace/abi';
import { Cpu, type ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { Caller, FileNode, OpenFile, OpenMode, Reply } from '../node.ts';
import { FILE_MODE, closeIn, openIn } from './control-file.ts';
import type { InstanceText } from './instance-text.ts';
import { bytesOf } from './written-text.ts';

const NOTHING = new Uint8Array(0);
/** How much text one read takes out of the buffer at most, and an entry more, whatever the reader has room for: 3 ms. */
const TAKEN_MAX = 65_536;

/** The CPUs whose trace_pipe is open: each has one reader at most, in the kernel too. */
export class PipeClaims {
  readonly #claimed: Set<Cpu> = new Set();
  readonly #all: readonly Cpu[];

  constructor(cpuCount: number) {
    this.#all = Array.from({ length: cpuCount }, (_, index) => Cpu(index));
  }

  /** Claims one CPU, or all of them. Refused when one of them is claimed. */
  claim(cpu: Cpu | undefined): 'claimed' | ErrnoName {
    const wanted = cpu === undefined ? this.#all : [cpu];
    if (wanted.some((each) => this.#claimed.has(each))) return 'EBUSY';
    for (const each of wanted) this.#claimed.add(each);
    return 'claimed';
  }

  release(cpu: Cpu | undefined): void {
    for (const each of cpu === undefined ? this.#all : [cpu]) this.#claimed.delete(each);
  }
}

/** `trace_pipe` of one CPU or of all. `claims` is shared by all of an instance. */
export function tracePipeFile(
  instance: TraceInstance,
  text: InstanceText,
  claims: PipeClaims,
  cpu?: Cpu,
): FileNode {
  return {
    kind: 'file',
    mode: FILE_MODE.read,
    access: 'pipe',
    open: (_caller, mode) =>
      openIn(instance, () => {
        const claim = claims.claim(cpu);
        return claim === 'claimed' ? new TracePipe(instance, text, claims, cpu, mode) : claim;
      }),
  };
}

/** `trace_pipe_raw` of one CPU: whole sub-buffers, as events/header_page describes them. */
export function tracePipeRawFile(instance: TraceInstance, cpu: Cpu): FileNode {
  return {
    kind: 'file',
    mode: FILE_MODE.read,
    access: 'pipe',
    open: (_caller, mode) => openIn(instance, () => new TracePipeRaw(instance, cpu, mode)),
  };
}

/** What both pipes share: handing out what was taken, and waiting. */
abstract class PipeFile implements OpenFile {
  protected readonly instance: TraceInstance;
  protected readonly cpu: Cpu | undefined;
  readonly #wasOpenedNonBlocking: boolean;
  /** What was taken out of the buffer and not read yet. */
  #taken: Uint8Array = NOTHING;
  #hasRead = false;
  #withdrawPoll: (() => void) | undefined;

  constructor(instance: TraceInstance, cpu: Cpu | undefined, mode: OpenMode) {
    this.instance = instance;
    this.cpu = cpu;
    this.#wasOpenedNonBlocking = mode.nonBlocking;
  }

  read(
    caller: Caller,
    offset: number,
    size: number,
    reply: Reply<Uint8Array>,
    isNonBlocking: boolean = this.#wasOpenedNonBlocking,
  ): void {
    if (this.#taken.length === 0) this.#taken = this.take(size);
    if (this.#taken.length > 0) {
      const bytes = this.#taken.subarray(0, size);
      this.#taken = this.#taken.subarray(bytes.length);
      this.#hasRead = true;
      return reply.done(bytes);
    }
    if (isNonBlocking) return reply.fail('EAGAIN');
    if (this.isOver(this.#hasRead)) return reply.done(NOTHING);
    reply.onInterrupt(this.instance.whenChanged(() => this.read(caller, offset, size, reply, false)));
  }

  isReadable(): boolean {
    return this.#taken.length > 0 || !this.instance.buffer.isEmpty(this.cpu);
  }

  onReadable(ready: () => void): void {
    // There is one poll handle for an open file, so the newest request stands for those before it.
    this.#withdrawPoll?.();
    this.#withdrawPoll = this.instance.whenChanged(() => {
      if (this.isReadable()) ready();
      else this.onReadable(ready);
    });
  }

  release(): void {
    this.#withdrawPoll?.();
    closeIn(this.instance);
  }

  /** Takes entries out of the buffer, about `size` bytes of them; none when the buffer is empty. */
  protected abstract take(size: number): Uint8Array;
  /** Whether the file is at its end now that the buffer is empty. */
  protected abstract isOver(hasRead: boolean): boolean;
}

class TracePipe extends PipeFile {
  readonly #text: InstanceText;
  readonly #claims: PipeClaims;

  constructor(
    instance: TraceInstance,
    text: InstanceText,
    claims: PipeClaims,
    cpu: Cpu | undefined,
    mode: OpenMode,
  ) {
    super(instance, cpu, mode);
    this.#text = text;
    this.#claims = claims;
  }

  override release(): void {
    this.#claims.release(this.cpu);
    super.release();
  }

  protected take(size: number): Uint8Array {
    const { buffer } = this.instance;
    // The clock may be another one since the last time.
    const reading = this.#text.reading('trace_pipe');
    let lines = '';
    while (lines.length < Math.min(size, TAKEN_MAX)) {
      const record = buffer.consume(this.cpu);
      if (record === undefined) break;
      lines += reading.lines(record);
    }
    return bytesOf(lines);
  }

  /** A reader that came before tracing began goes on waiting; one that has read ends when tracing is off. */
  protected isOver(hasRead: boolean): boolean {
    return hasRead && !this.instance.isTracingOn;
  }
}

class TracePipeRaw extends PipeFile {
  readonly #cpu: Cpu;

  constructor(instance: TraceInstance, cpu: Cpu, mode: OpenMode) {
    super(instance, cpu, mode);
    this.#cpu = cpu;
  }

  protected take(): Uint8Array {
    const subBuffer = new Uint8Array(SUB_BUFFER_SIZE);
    return subBuffer.subarray(0, this.instance.buffer.readSubBuffer(this.#cpu, subBuffer));
  }

  protected isOver(): boolean {
    return false;
  }
}
