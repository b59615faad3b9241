/**
 * `Watcher`: the callbacks of engines, which turn what is reported into events for the outputs. It holds what it must remember of
 * each task: its name, and the system call that it is in. It changes nothing: no callback answers anything.
 */
import {
  AUDIT_ARCH_X86_64,
  MAX_SYSTEM_CALL,
  SIGNAL,
  systemCallName,
  type SystemCallStop,
  type TaskEnd,
} from '@usertrace/abi';
import { type Birth, type Callbacks, Event, type SignalReport, type Task } from '@usertrace/utrace';
import { CallArguments, type CopiedArguments } from './call-arguments.ts';
import { EventQueue } from './event-queue.ts';
import { commandLineOf, commOf, executableOf } from './process-names.ts';
import type { EventKind, Selection } from './selection.ts';
import type { EnteredCall, EventOutput, SignalEvent, WatchedTask, WatchEvent } from './watch-event.ts';

/** Calls that never answer. */
const FINAL_CALLS: ReadonlySet<string> = new Set(['exit', 'exit_group']);
/** Signals of faults, which have an address when the kernel sent them (sigaction(2)). */
const FAULT_SIGNALS: ReadonlySet<number> = new Set([4, 5, 7, 8, 11]);
const SI_KERNEL = 0x80;
const SI_TIMER = -2;

/** What is known of a task. */
interface KnownTask {
  shown: WatchedTask;
  /** The call that it is in. */
  call: EnteredCall | undefined;
}

/** A call whose arguments become texts when somebody asks for them, or their copies have to go. */
class WatchedCall implements EnteredCall {
  readonly task: WatchedTask;
  readonly enteredNs: bigint;
  readonly number: number;
  readonly name: string;
  readonly isFinal: boolean;
  readonly #store: CallArguments;
  #copied: CopiedArguments | undefined;
  #args: readonly string[] = [];

  /** @param copied in `store`; undefined when nobody will want them */
  constructor(
    task: WatchedTask,
    stop: SystemCallStop,
    store: CallArguments,
    copied: CopiedArguments | undefined,
  ) {
    this.task = task;
    this.enteredNs = process.hrtime.bigint();
    this.number = stop.number;
    this.name = nameOf(stop);
    this.isFinal = FINAL_CALLS.has(this.name);
    this.#store = store;
    this.#copied = copied;
  }

  get args(): readonly string[] {
    if (this.#copied !== undefined) this.#args = this.#store.textsOf(this.#copied);
    this.#copied = undefined;
    return this.#args;
  }
}

/** What a watcher is made with. */
export interface WatcherParts {
  readonly selection: Selection;
  readonly outputs: readonly EventOutput[];
  /** Whether an output shows arguments: reading them costs some of what a stop costs. */
  readonly wantsArguments: boolean;
  /** Told of the end of each process. */
  readonly ended: (pid: number, end: TaskEnd) => void;
  /** Told of what an output throws. */
  readonly failed: (reason: unknown) => void;
}

export class Watcher {
  readonly callbacks: Callbacks;
  /** Bits of Event that engines need. */
  readonly events: number;
  readonly #parts: WatcherParts;
  readonly #arguments = new CallArguments();
  readonly #queue: EventQueue;
  readonly #tasks = new Map<Task, KnownTask>();
  /** By number: 1 for calls that are watched. */
  readonly #isWatched = new Uint8Array(MAX_SYSTEM_CALL + 1);
  readonly #pids = new Set<number>();

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    const { calls } = parts.selection;
    if (typeof calls === 'object') for (const number of calls) this.#isWatched[number] = 1;
    this.events = eventsFor(parts.selection);
    this.#queue = new EventQueue(parts.outputs, (events) => this.#forgetCopies(events), parts.failed);
    this.callbacks = {
      clone: ({ task }, child, birth) => this.#cloned(this.#known(task), child, birth),
      exec: ({ task }, formerTid) => this.#executed(task, formerTid),
      death: ({ task }, end) => this.#died(task, end),
      signal: ({ task }, report) => this.#signalled(this.#known(task), report),
      jobControl: ({ task }, isStopped, signal) => {
        const { shown } = this.#known(task);
        this.#emit('signal', {
          kind: 'job',
          task: shown,
          timeNs: process.hrtime.bigint(),
          isStopped,
          signal,
        });
      },
      syscallEntry: ({ task }, call) => this.#entered(task, call),
      syscallExit: ({ task }, call) => this.#returned(task, call),
    };
  }

  /** Tasks that are watched now. */
  get taskCount(): number {
    return this.#tasks.size;
  }

  /** Whether a process is or was watched. */
  hasSeen(pid: number): boolean {
    return this.#pids.has(pid);
  }

  /** Notes the names of tasks while they live. */
  note(tasks: Iterable<Task>): void {
    for (const task of tasks) this.#known(task);
  }

  #known(task: Task): KnownTask {
    return this.#tasks.get(task) ?? this.#remember(task, commOf(task.tid));
  }

  #remember(task: Task, comm: string): KnownTask {
    const known: KnownTask = { shown: { tid: task.tid, pid: task.tgid, comm }, call: undefined };
    this.#tasks.set(task, known);
    this.#pids.add(task.tgid);
    return known;
  }

  /** Gives the outputs what waits for them. */
  flush(): void {
    this.#queue.flush();
  }

  #emit(kind: EventKind, event: WatchEvent): void {
    if (this.#parts.selection.kinds.has(kind)) this.#queue.add(event);
  }

  /** Calls that have not answered yet are shown later. */
  #forgetCopies(events: readonly WatchEvent[]): void {
    if (this.#parts.wantsArguments)
      for (const event of events) if (event.kind === 'enter') void event.call.args;
    this.#arguments.clear();
  }

  #cloned({ shown }: KnownTask, child: Task, { kind, isThread }: Birth): void {
    const how = isThread ? 'thread' : kind;
    this.#emit('clone', {
      kind: 'clone',
      task: shown,
      timeNs: process.hrtime.bigint(),
      how,
      child: child.tid,
    });
    // It has its maker's name until it takes another; killed at birth, it never shows its own.
    if (child.state !== 'gone' && !this.#tasks.has(child)) this.#remember(child, shown.comm);
  }

  #executed(task: Task, formerTid: number): void {
    const known = this.#known(task);
    const shown = { tid: task.tid, pid: task.tgid, comm: commOf(task.tid) };
    known.shown = shown;
    // Its task waits while /proc is read.
    if (!this.#parts.selection.kinds.has('exec')) return;
    const file = executableOf(task.tid);
    const args = commandLineOf(task.tid);
    const timeNs = process.hrtime.bigint();
    this.#emit('exec', { kind: 'exec', task: shown, timeNs, file, args, formerTid });
  }

  #died(task: Task, end: TaskEnd): void {
    const known = this.#known(task);
    const isThread = task.tid !== task.tgid;
    const { call, shown } = known;
    const timeNs = process.hrtime.bigint();
    if (call !== undefined && !call.isFinal)
      this.#queue.add({ kind: 'abandoned', task: shown, timeNs, call });
    this.#emit('exit', { kind: 'exit', task: shown, timeNs, end, isThread });
    this.#tasks.delete(task);
    if (!isThread) this.#parts.ended(task.tgid, end);
  }

  #signalled({ shown }: KnownTask, report: SignalReport): void {
    if (report.isStep) return;
    const { signal, information } = report;
    const { code } = information;
    const hasSender = (code <= 0 && code !== SI_TIMER) || (signal === SIGNAL.CHLD && code !== SI_KERNEL);
    const hasAddress = code > 0 && code !== SI_KERNEL && FAULT_SIGNALS.has(signal);
    const event: SignalEvent = {
      kind: 'signal',
      task: shown,
      timeNs: process.hrtime.bigint(),
      signal,
      code,
      sender: hasSender ? { pid: information.senderPid, uid: information.senderUid } : undefined,
      address: hasAddress ? information.address : undefined,
      get disposition() {
        return report.disposition;
      },
    };
    this.#emit('signal', event);
  }

  #wants(call: SystemCallStop): boolean {
    if (this.#parts.selection.calls === 'all') return true;
    // The names that were chosen are those of x86-64: other calls of i386 have the same numbers.
    return this.#isWatched[call.number] === 1 && call.architecture === AUDIT_ARCH_X86_64;
  }

  #entered(task: Task, stop: SystemCallStop): void {
    const known = this.#known(task);
    if (!this.#wants(stop)) {
      known.call = undefined;
      return;
    }
    if (this.#arguments.isFull) this.#queue.flush();
    const copied = this.#parts.wantsArguments ? this.#arguments.copy(task, stop) : undefined;
    const call = new WatchedCall(known.shown, stop, this.#arguments, copied);
    known.call = call;
    this.#queue.add({ kind: 'enter', task: known.shown, timeNs: call.enteredNs, call });
  }

  #returned(task: Task, stop: SystemCallStop): void {
    if (!this.#wants(stop)) return;
    const timeNs = process.hrtime.bigint();
    const known = this.#known(task);
    const { call } = known;
    known.call = undefined;
    this.#queue.add({
      kind: 'return',
      task: known.shown,
      timeNs,
      call,
      number: stop.number,
      name: call?.name ?? nameOf(stop),
      result: stop.wideResult,
      errno: stop.errno,
    });
  }
}

function nameOf(stop: SystemCallStop): string {
  return stop.architecture === AUDIT_ARCH_X86_64 ? systemCallName(stop.number) : `i386_${stop.number}`;
}

/** Births and execs are always told: names come from there; without a wish for them they cost nothing more. */
function eventsFor({ kinds, calls }: Selection): number {
  const wantsSignals = kinds.has('signal') ? Event.SIGNAL | Event.JOB_CONTROL : 0;
  const wantsCalls = calls === 'none' ? 0 : Event.SYSCALL_ENTRY | Event.SYSCALL_EXIT;
  return Event.CLONE | Event.EXEC | Event.DEATH | wantsSignals | wantsCalls;
}
