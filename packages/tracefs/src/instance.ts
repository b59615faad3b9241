/**
 * A trace instance, the kernel's trace_array: a ring buffer with its clock, options and error log, and the events
 * it has switched on. InstanceSet holds the instances; events that an instance switched on hold it as their
 * tracer; its files count themselves in `openFiles`, and while there are any it cannot be removed.
 *
 *     UserEvent --record--> TraceInstance --write--> RingBuffer
 *                                |--- wakes the readers that wait for events
 */

import { COMMON_FIELDS_SIZE, ENTRY_MAX } from '@usertrace/abi';
import type { Cpu, ErrnoName, Nanoseconds, Tid } from '@usertrace/base';
import { RingBuffer, kibOfSubBuffers, subBuffersForKib, SUB_BUFFERS_MIN } from '@usertrace/ring';
import type { EventTracer, UserEvent } from '@usertrace/user-events';
import { TraceClock, type TraceClockName } from './instance-clock.ts';
import { ErrorLog } from './instance-error-log.ts';
import { InstanceEvents } from './instance-events.ts';
import { InstanceFilters } from './instance-filters.ts';
import { InstanceTriggers } from './instance-triggers.ts';
import { InstanceOptions, type TraceOptionName } from './instance-options.ts';
import type { InstancePorts } from './instance-ports.ts';
import type { TaskRecorder } from './instance-tasks.ts';
import type { ProbeEvent, ProbeHit } from './probe-event.ts';
import type { TracedEvent } from './traced-event.ts';
import type { Turns } from './turns.ts';
import { WrittenRecord } from './written-record.ts';

/** What a CPU's buffer has once it is used, as in the kernel (trace_buf_size). */
export const DEFAULT_BUFFER_KIB = 1408;
/** The largest size of a CPU's buffer: 1 GiB; beyond it ENOMEM. */
const BUFFER_KIB_MAX: number = 1 << 20;

export class TraceInstance implements EventTracer {
  /** The directory's name below `instances`; empty for the top instance. */
  readonly name: string;
  readonly buffer: RingBuffer;
  readonly options: InstanceOptions;
  readonly errors: ErrorLog;
  /** Which events are on. */
  readonly events: InstanceEvents;
  readonly filters: InstanceFilters;
  readonly triggers: InstanceTriggers;
  readonly cpuCount: number;
  /** For what its files do that takes long. */
  readonly turns: Turns;
  /** Events made from this one on are listed before those that were there when the instance was made. */
  readonly firstNewSequence: number;
  /** Open files of the instance. */
  openFiles = 0;
  /** How full a buffer should be before poll(2) says so, in percent; kept for programs that set it. */
  bufferPercent = 50;

  readonly #ports: InstancePorts;
  readonly #tasks: TaskRecorder;
  readonly #waiting = new Set<() => void>();
  #clock: TraceClock;
  #isTracingOn = true;
  #pauseCount = 0;
  /** Whether the buffer records: tracing is on and nothing pauses it. */
  #isRecording = true;
  #recordsCommands = true;
  #recordsProcesses = false;
  #isExpanded: boolean;
  #isWakeDue = false;
  #mustClear = false;
  #isRemoved = false;

  /**
   * @param name the directory's name below `instances`; empty for the top instance
   * @param ports the system
   * @param tasks where the names of those who write are kept
   * @param turns those of the tree
   * @param firstNewSequence the sequence that the catalog gives to the event made after this instance
   */
  constructor(
    name: string,
    ports: InstancePorts,
    tasks: TaskRecorder,
    turns: Turns,
    firstNewSequence: number,
  ) {
    this.name = name;
    this.#ports = ports;
    this.#tasks = tasks;
    this.turns = turns;
    this.firstNewSequence = firstNewSequence;
    this.cpuCount = ports.cpuCount;
    this.#clock = new TraceClock('local', ports.clocks);
    this.errors = new ErrorLog(ports.clocks);
    this.events = new InstanceEvents(this);
    this.filters = new InstanceFilters(ports.cpuCount);
    this.triggers = new InstanceTriggers(this);
    this.options = new InstanceOptions(this.isTop, (option, isOn) => this.#optionChanged(option, isOn));
    // The kernel keeps the top instance's buffer small until something is traced.
    this.#isExpanded = !this.isTop;
    this.buffer = new RingBuffer({
      cpuCount: ports.cpuCount,
      subBuffersPerCpu: this.#isExpanded ? subBuffersForKib(DEFAULT_BUFFER_KIB) : SUB_BUFFERS_MIN,
      epochNs: this.#clock.epochNs,
    });
  }

  get isTop(): boolean {
    return this.name === '';
  }

  /** Whether rmdir removed it; its files answer ENODEV from then on. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  get clock(): TraceClock {
    return this.#clock;
  }

  /** Whether the buffer has its full size. */
  get isExpanded(): boolean {
    return this.#isExpanded;
  }

  /** See EventTracer: whether an event would be recorded now, or may pull a trigger. */
  accepts(event: UserEvent, payloadLength: number): boolean {
    const isWanted = (this.#isRecording && this.events.enabled.has(event)) || this.triggers.has(event);
    return isWanted && payloadLength <= ENTRY_MAX - COMMON_FIELDS_SIZE;
  }

  /** See EventTracer: called for each write of a program to an event that is attached. */
  record(event: UserEvent, pid: Tid, payload: Uint8Array): void {
    const record = () => new WrittenRecord(event.id, pid, payload, this.#ports);
    this.triggers.fire('before', event, record);
    if (this.events.enabled.has(event) && this.filters.lets(event, record))
      this.write(event.id, pid, payload);
    this.triggers.fire('behind', event, record);
  }

  /** A probe was hit whose event is attached. */
  recordHit(event: ProbeEvent, { timeNs, tid, comm = '', entry, payload }: ProbeHit): void {
    // Hits do not tell their CPU, and no filter of them may ask for it.
    const record = () => ({
      record: new DataView(entry.buffer, entry.byteOffset, entry.length),
      tid,
      comm,
      cpu: 0,
    });
    this.triggers.fire('before', event, record);
    if (this.events.enabled.has(event) && this.filters.lets(event, record))
      this.#writeAt(this.#clock.at(timeNs), event.id, tid, payload);
    this.triggers.fire('behind', event, record);
  }

  /**
   * Records an entry at the present time, if the instance records.
   *
   * @returns whether it records
   */
  write(typeId: number, pid: Tid, payload: Uint8Array): boolean {
    return this.#writeAt(this.#clock.now(), typeId, pid, payload);
  }

  /** An entry that is older than the CPU's last, as a probe's may be, gets that one's time. */
  #writeAt(time: Nanoseconds, typeId: number, pid: Tid, payload: Uint8Array): boolean {
    if (!this.#isRecording) return false;
    this.buffer.write(this.#ports.currentCpu(), time, typeId, 0, 0, pid, payload);
    if (this.#recordsCommands) this.#tasks.noteCommand(pid);
    if (this.#recordsProcesses) this.#tasks.noteProcess(pid);
    if (this.#waiting.size > 0 && !this.#isWakeDue) this.#wakeSoon();
    return true;
  }

  /** An event is gone. If it ever was on here, the buffer may hold entries that nobody can print any more. */
  eventRemoved(event: TracedEvent): void {
    this.filters.forget(event);
    this.triggers.forget(event);
    if (event.wasTracedBy(this)) this.#mustClear = true;
  }

  /** Empties the buffer if an event is gone that was ever on here. */
  clearIfNeeded(): void {
    if (!this.#mustClear) return;
    this.#mustClear = false;
    this.clear();
  }

  /** Forgets all entries, of one CPU or of all. */
  clear(cpu?: Cpu): void {
    this.buffer.reset(cpu);
  }

  get isTracingOn(): boolean {
    return this.#isTracingOn;
  }

  /** Starts or stops recording (`tracing_on`). Stopping wakes the readers: for some that is the end of the file. */
  set isTracingOn(isOn: boolean) {
    this.#isTracingOn = isOn;
    this.#isRecording = isOn && this.#pauseCount === 0;
    if (!isOn) this.#wakeSoon();
  }

  /** Stops recording until resume() was called as often (`pause-on-trace`). */
  pause(): void {
    this.#pauseCount++;
    this.#isRecording = false;
  }

  resume(): void {
    this.#pauseCount--;
    this.#isRecording = this.#isTracingOn && this.#pauseCount === 0;
  }

  /** Changes the clock and empties the buffer, whose times would not compare with new ones. */
  setClock(name: TraceClockName): void {
    this.#clock = new TraceClock(name, this.#ports.clocks);
    this.buffer.restart(this.#clock.epochNs);
  }

  /** Gives the buffer its full size, if nothing did before. */
  expand(): void {
    if (!this.#isExpanded) this.buffer.resize(subBuffersForKib(DEFAULT_BUFFER_KIB));
    this.#isExpanded = true;
  }

  /** The size of a CPU's buffer in KiB. */
  bufferKib(cpu: Cpu): number {
    return kibOfSubBuffers(this.buffer.subBufferCount(cpu));
  }

  /**
   * Changes the buffer's size.
   *
   * @param sizeKib of each CPU's buffer
   * @param cpu the CPU to change; all of them when left out
   */
  resizeBuffer(sizeKib: number, cpu?: Cpu): ErrnoName | undefined {
    if (sizeKib === 0) return 'EINVAL';
    if (sizeKib > BUFFER_KIB_MAX) return 'ENOMEM';
    this.#isExpanded = true;
    this.buffer.resize(subBuffersForKib(sizeKib), cpu);
    return undefined;
  }

  /**
   * Calls back once, soon after something was recorded or tracing was stopped.
   *
   * @returns withdraws the request
   */
  whenChanged(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  /** Detaches it from everything. Only without open files. */
  remove(): void {
    this.#isRemoved = true;
    this.triggers.clear();
    this.events.disableAll();
    this.clear();
  }

  #wakeSoon(): void {
    if (this.#isWakeDue) return;
    this.#isWakeDue = true;
    // Later, so that the readers find all that is written in the meantime, and no writer waits for them.
    this.#ports.deferred.defer(() => {
      this.#isWakeDue = false;
      const callbacks = [...this.#waiting];
      this.#waiting.clear();
      for (const callback of callbacks) callback();
    });
  }

  #optionChanged(option: TraceOptionName, isOn: boolean): void {
    if (option === 'overwrite') this.buffer.overwrite = isOn;
    if (option === 'record-cmd') this.#recordsCommands = isOn;
    if (option === 'record-tgid') this.#recordsProcesses = isOn;
  }
}
