/**
 * A simulated system around the domain: tasks with memory, open files that any task may use, two tracers, and
 * a scheduler that decides when stores end and deferred work is done. The {@link Model} says what must hold.
 *
 * Ops are names and numbers that choose among what there is.
 */

import { Address, assert, Tid, Uid } from '@usertrace/base';
import { type EventTracer, type Requester, type UserEvent, type UserEventFile, UserEvents } from './index.ts';
import { commandOf, ExistingEvents } from './expected-answers.sim.ts';
import { type SimulatedMemory, SimulatedMemoryPort } from './memory.sim.ts';
import { type Bit, keyOf, Model, type Registration } from './model.sim.ts';
import {
  BITS,
  freshMemory,
  OTHER_PAGE,
  PROGRAMS_BITS,
  SimulatedTasks,
  START,
  type Task,
} from './simulated-tasks.sim.ts';

/** What can happen. */
export const OP_NAMES = [
  'register',
  'unregister',
  'attach',
  'detach',
  'open',
  'close',
  'delete',
  'fork',
  'clone',
  'exec',
  'exit',
  'daemonise',
  'forkAndExec',
  'vanish',
  'protect',
  'finish',
  'fail',
  'late',
  'forsake',
  'work',
  'settle',
] as const;

/** Something happens. */
export interface Op {
  readonly name: (typeof OP_NAMES)[number];
  readonly choices: readonly [number, number, number];
}

/** A task that the domain has not heard of. */
interface Child {
  readonly task: Task;
  /** Tells the domain, and whether the memory that it opens is the one the child was made with. */
  tell(isStillChild?: boolean): void;
}

interface OpenFile {
  readonly file: UserEventFile;
  /** By write index. */
  readonly events: UserEvent[];
}

const PAGE_STATES = ['writable', 'read-only', 'unmapped'] as const;
const COMMANDS = ['a', 'a u32 x', 'b u32 x; char[4] y', 'b', 'c __data_loc char[] s'] as const;
const FILES_MAX = 4;

/** The system. */
export class Simulation {
  readonly #model = new Model();
  readonly #port = new SimulatedMemoryPort(this.#model);
  readonly #works: (() => void)[] = [];
  readonly #domain: UserEvents;
  readonly #tasks = new SimulatedTasks(this.#port);
  readonly #files: OpenFile[] = [];
  readonly #tracers = [silentTracer(), silentTracer()] as const;
  readonly #attached: { event: UserEvent; tracer: EventTracer }[] = [];
  readonly #existing = new ExistingEvents();
  #lastAdded: UserEvent | undefined;
  #unanswered = 0;
  #awaitingWords = 0;

  constructor() {
    const after = (work: () => void): { cancel(): void } => {
      this.#works.push(work);
      return { cancel: () => remove(this.#works, work) };
    };
    this.#domain = new UserEvents({
      memory: this.#port,
      deferred: { defer: after, after: (_delayNs, work) => after(work) },
    });
    this.#domain.observers = {
      added: (event) => {
        this.#existing.add(event);
        this.#lastAdded = event;
      },
      removed: (event) => {
        assert(this.#references(event) === 0, `event "${event.name}" is removed when nothing refers to it`);
        this.#existing.delete(event);
      },
      clearRequested: () => {},
    };
    this.#tasks.add(freshMemory());
    this.#openFile();
  }

  /** Does an op, and checks what holds at any time. */
  run(op: Op): void {
    this.#perform(op);
    for (const event of this.#existing) {
      const isReferredTo = this.#references(event) > 0 || event.isPersistent;
      assert(isReferredTo || this.#works.length > 0, `event "${event.name}" awaits its destruction`);
    }
    if (this.#port.pending.length === 0) {
      assert(this.#unanswered === 0, 'a request waits for stores only');
      assert(this.#awaitingWords === 0, 'switching waits for stores only');
    }
    const listed = [...this.#domain.events];
    assert(listed.length === this.#existing.size, 'an event is listed while it exists');
    assert(
      listed.every((event) => this.#existing.has(event)),
      'only events that exist are listed',
    );
  }

  /** Lets everything end that was begun, and checks what holds then. */
  settle(): void {
    while (this.#port.pending.length > 0 || this.#works.length > 0) {
      const store = this.#port.pending[0];
      if (store !== undefined) this.#port.finish(store);
      else this.#works.shift()?.();
    }
    this.#port.landGhosts();
    assert(this.#unanswered === 0, 'every request is answered');
    assert(this.#awaitingWords === 0, 'whoever waits for words is called');
    for (const event of this.#existing) {
      assert(this.#references(event) > 0 || event.isPersistent, `event "${event.name}" is gone`);
    }
    this.#model.checkBits(BITS);
    for (const { memory } of this.#tasks.all) {
      const others = memory.readWord(Address(START)) & PROGRAMS_BITS;
      assert(others === PROGRAMS_BITS, "the program's own bits are as it left them");
    }
    assert(this.#port.openHandles <= this.#model.all.size, 'memory is held open only for registrations');
  }

  /** Ends all tasks, closes all files, detaches all tracers, and checks that nothing is left. */
  tearDown(): void {
    for (const { event, tracer } of this.#attached.splice(0)) event.detach(tracer);
    for (const { file } of this.#files.splice(0)) file.release();
    while (this.#tasks.all.length > 0) this.#leave(this.#tasks.all[0] as Task, undefined);
    this.settle();
    for (const event of this.#existing)
      assert(this.#runRemoval(event, true) === 'ok', 'what is left is deleted');
    assert(this.#existing.size === 0, 'no event is left');
    assert(this.#port.openHandles === 0, 'no memory is held open');
  }

  #perform({ name, choices }: Op): void {
    const [first, second, third] = choices;
    if (name === 'attach' || name === 'detach') return this.#switch(name, first, second);
    if (name === 'open') return this.#openFile();
    if (name === 'close') return this.#files.splice(first % FILES_MAX, 1)[0]?.file.release();
    if (name === 'delete') return this.#delete(first, second % 2 === 0, third % 2 === 0);
    if (name === 'work') return this.#works.splice(first % Math.max(1, this.#works.length), 1)[0]?.();
    if (name === 'settle') return this.settle();
    if (name === 'finish' || name === 'fail' || name === 'late' || name === 'forsake') {
      return this.#endStore(name, first);
    }
    return this.#taskActs(pick(this.#tasks.all, first), name, second, third);
  }

  #taskActs(task: Task | undefined, name: Op['name'], second: number, third: number): void {
    if (task === undefined) return;
    if (name === 'register') this.#register(task, second, third);
    else if (name === 'unregister') this.#unregister(task, second, third);
    else if (name === 'fork' || name === 'clone') this.#fork(task, name === 'clone')?.tell();
    else if (name === 'exec') this.#leave(task, freshMemory());
    else if (name === 'exit') this.#leave(task, undefined);
    else if (name === 'daemonise') this.#daemonise(task);
    else if (name === 'forkAndExec') this.#forkAndExec(task, second, third);
    else if (name === 'vanish') this.#vanish(task);
    else task.memory.protect(Address(OTHER_PAGE), pick(PAGE_STATES, third) ?? 'writable');
  }

  #endStore(how: 'finish' | 'fail' | 'late' | 'forsake', which: number): void {
    const store = pick(this.#port.pending, which);
    if (store === undefined) return;
    if (how === 'finish') this.#port.finish(store);
    else if (how === 'fail') this.#port.fail(store);
    else if (how === 'late') this.#port.giveUp(store);
    else this.#port.forsake(store);
  }

  #register(task: Task, which: number, traits: number): void {
    const open = pick(this.#files, traits >> 4);
    if (open === undefined) return;
    const bit = pick(BITS, which) as Bit;
    const command = pick(COMMANDS, traits >> 8) as string;
    const persist = (traits & 3) === 3;
    const multiFormat = (traits & 4) !== 0;
    const who = requester(task.tid, (traits & 8) !== 0);
    this.#noticeDeath(task);
    const space = this.#model.spaces.get(task.tid) ?? this.#model.newSpace(task.tid, task.memory);
    const key = keyOf(bit);
    const matching = this.#existing.matching(command, multiFormat);
    const refusal = space.registrations.has(key)
      ? 'EADDRINUSE'
      : this.#existing.refusal(command, persist && !who.perfmonCapable(), multiFormat);
    const registration: Registration = { event: matching, isLive: false, mustMatch: true };
    if (refusal === undefined) space.registrations.set(key, registration);
    const { failures } = this.#model;
    this.#unanswered++;
    const request = { enableBit: bit.bit, enableSize: 8, enableAddress: Address(bit.address) } as const;
    const traitsAndName = { persist, multiFormat, nameAddress: Address(0n) };
    open.file.register(who, { ...request, ...traitsAndName }, command, (answer) => {
      this.#unanswered--;
      if (refusal !== undefined)
        return assert(answer === refusal, `REG answers ${refusal}, not ${JSON.stringify(answer)}`);
      registration.isLive = true;
      if (typeof answer !== 'string') {
        return assert(open.events[answer.writeIndex] === registration.event, "the index is the event's");
      }
      const isExcused = this.#model.failures > failures || !this.#model.isCurrent(space);
      assert(answer === 'ENOMEM' && isExcused, `REG fails (${answer}) after a store failed`);
      if (space.registrations.get(key) === registration) space.registrations.delete(key);
      return undefined;
    });
    if (refusal !== undefined) return;
    const event = matching ?? this.#lastAdded;
    assert(event !== undefined && this.#existing.has(event), 'REG found or made an event');
    registration.event = event;
    if (!open.events.includes(event)) open.events.push(event);
  }

  #unregister(task: Task, which: number, file: number): void {
    const open = pick(this.#files, file);
    if (open === undefined) return;
    const bit = pick(BITS, which) as Bit;
    const key = keyOf(bit);
    this.#noticeDeath(task);
    const space = this.#model.spaces.get(task.tid);
    const isThere = space?.registrations.get(key)?.isLive === true;
    const count = (by: number): unknown => space?.clearing.set(key, (space.clearing.get(key) ?? 0) + by);
    if (isThere) {
      space?.registrations.delete(key);
      count(1);
    }
    const { failures } = this.#model;
    this.#unanswered++;
    const request = { disableBit: bit.bit, disableAddress: Address(bit.address) };
    open.file.unregister(requester(task.tid, false), request, (answer) => {
      this.#unanswered--;
      if (space === undefined || !isThere)
        return assert(answer === 'ENOENT', `UNREG answers ENOENT, not ${answer}`);
      count(-1);
      if (answer === 'ok')
        return assert(!space.memory.isBitSet(bit.address, bit.bit), 'UNREG cleared the bit');
      const isExcused = this.#model.failures > failures || !this.#model.isCurrent(space);
      return assert(answer === 'EFAULT' && isExcused, `UNREG fails (${answer}) after a store failed`);
    });
  }

  #delete(which: number, capable: boolean, byCommand: boolean): void {
    const event = pick([...this.#existing], which);
    const open = this.#files[0];
    if (event === undefined || open === undefined) return;
    const expected = this.#existing.deletion(event, byCommand, capable, (one) => this.#references(one));
    const answer = byCommand
      ? this.#runRemoval(event, capable)
      : open.file.delete(requester(Tid(1), capable), event.registeredName);
    assert(answer === expected, `DEL answers ${expected}, not ${answer}`);
  }

  #runRemoval(event: UserEvent, capable: boolean): string {
    return this.#domain.runDynamicCommand(requester(Tid(1), capable), `-:${commandOf(event)}`);
  }

  #switch(how: 'attach' | 'detach', whichEvent: number, whichTracer: number): void {
    const event = pick([...this.#existing], whichEvent);
    const tracer = pick(this.#tracers, whichTracer) as EventTracer;
    if (event === undefined) return;
    const attachment = this.#attached.find((one) => one.event === event && one.tracer === tracer);
    if ((how === 'attach') === (attachment !== undefined)) return;
    this.#model.expectMatch(event);
    if (attachment === undefined) {
      this.#attached.push({ event, tracer });
      event.attach(tracer);
    } else {
      remove(this.#attached, attachment);
      event.detach(tracer);
    }
    this.#awaitingWords++;
    event.settled(() => this.#awaitingWords--);
  }

  /** A task forks; its child forks and exits; the domain hears of it when the child is gone already. */
  #daemonise(task: Task): void {
    const child = this.#fork(task, false);
    const grandchild = child && this.#fork(child.task, false);
    if (child === undefined) return;
    this.#tasks.leaveMemory(child.task);
    child.tell();
    grandchild?.tell();
    this.#leave(child.task, undefined);
  }

  /**
   * A task forks; its child forks and execs; when the domain hears of it and opens the child's memory, that is the
   * new image's. An event may be switched before the domain hears of the exec, too.
   */
  #forkAndExec(task: Task, second: number, third: number): void {
    const child = this.#fork(task, false);
    const grandchild = child && this.#fork(child.task, false);
    if (child === undefined) return;
    this.#tasks.leaveMemory(child.task);
    this.#tasks.enterMemory(child.task, freshMemory());
    child.tell(false);
    grandchild?.tell();
    this.#switch(third % 2 === 0 ? 'attach' : 'detach', second, third >> 1);
    this.#model.leave(child.task.tid, this.#port.pending);
    this.#domain.taskExeced(child.task.tid);
  }

  /** A task that has its memory for itself execs, and nobody tells. */
  #vanish(task: Task): void {
    if (task.memory.users > 1) return;
    this.#tasks.leaveMemory(task);
    this.#tasks.enterMemory(task, freshMemory());
  }

  /** exec with fresh memory; exit without. */
  #leave(task: Task, memory: SimulatedMemory | undefined): void {
    this.#tasks.leaveMemory(task);
    this.#model.leave(task.tid, this.#port.pending);
    if (memory === undefined) {
      this.#tasks.remove(task);
      this.#domain.taskExited(task.tid);
    } else {
      this.#tasks.enterMemory(task, memory);
      this.#domain.taskExeced(task.tid);
    }
  }

  /** @returns the child, and how to tell the domain; undefined when there are too many tasks */
  #fork(parent: Task, sharesMemory: boolean): Child | undefined {
    if (this.#tasks.isFull) return undefined;
    this.#noticeDeath(parent);
    this.#domain.taskExeced(this.#model.spaces.has(parent.tid) ? Tid(0) : parent.tid);
    const task = this.#tasks.add(sharesMemory ? parent.memory : parent.memory.copy());
    this.#model.fork(parent.tid, task.tid, task.memory);
    const tell = (isStillChild = true): void =>
      this.#domain.taskForked(parent.tid, task.tid, sharesMemory, () => isStillChild);
    return { task, tell };
  }

  /** The domain finds out that a task's memory is another when the task asks for something. */
  #noticeDeath(task: Task): void {
    const space = this.#model.spaces.get(task.tid);
    if (space !== undefined && space.memory.users === 0) this.#model.drop(space);
  }

  #references(event: UserEvent): number {
    const attached = this.#attached.filter((one) => one.event === event).length;
    const files = this.#files.filter(({ events }) => events.includes(event)).length;
    return attached + files + this.#model.countRegistrations(event);
  }

  #openFile(): void {
    if (this.#files.length >= FILES_MAX) return;
    const file = this.#domain.openFile(Uid(1));
    assert(typeof file !== 'string', 'a file is opened');
    this.#files.push({ file, events: [] });
  }
}

function silentTracer(): EventTracer {
  return { accepts: () => true, record: () => {} };
}

function requester(tid: Tid, capable: boolean): Requester {
  return { tid, uid: Uid(1), perfmonCapable: () => capable };
}

function pick<Item>(items: readonly Item[], choice: number): Item | undefined {
  return items[choice % items.length];
}

function remove<Item>(items: Item[], item: Item): void {
  const index = items.indexOf(item);
  if (index >= 0) items.splice(index, 1);
}
