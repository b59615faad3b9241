/** What programs that are traced do: they run into breakpoints, have children, execute others, load libraries, and end. */

import { SIGNAL } from '@usertrace/abi';
import {
  Action,
  type Birth,
  type Callbacks,
  type Engine,
  Event,
  SignalAction,
  type SignalReport,
  type Task,
  type Verdict,
} from '@usertrace/utrace';
import type { BreakpointHits } from '../breakpoint/breakpoint-hits.ts';
import type { AddressSpaces } from './address-spaces.ts';
import { LoadingPrograms } from './loading-programs.ts';
import type { ProbedPlaces } from './probed-places.ts';
import type { SpaceChanges } from './space-changes.ts';

/** si_code of an invalid instruction (asm-generic/siginfo.h). */
const ILL_ILLOPN = 2;

/** Those of all programs, with what has to be done then. */
export class ProgramEvents {
  /** What engines have to be attached with. */
  static readonly EVENTS: number = Event.QUIESCE | Event.SIGNAL | Event.CLONE | Event.EXEC | Event.DEATH;
  readonly #places: ProbedPlaces;
  readonly #spaces: AddressSpaces;
  readonly #changes: SpaceChanges;
  readonly #hits: BreakpointHits;
  readonly #loading = new LoadingPrograms();

  constructor(places: ProbedPlaces, spaces: AddressSpaces, changes: SpaceChanges, hits: BreakpointHits) {
    this.#places = places;
    this.#spaces = spaces;
    this.#changes = changes;
    this.#hits = hits;
  }

  readonly callbacks: Callbacks = {
    signal: (engine, report) => this.#signal(engine, report),
    quiesce: (engine, event) => (event === 0 ? this.#changes.bring(engine.task) : undefined),
    clone: (engine, child, birth) => this.#born(engine.task, child, birth),
    exec: (engine) => this.#executed(engine),
    syscallExit: ({ task }, call) => this.#called(task, call.number),
    death: ({ task }) => {
      if (task.tid === task.tgid) this.#loading.end(task.tgid);
      this.#spaces.byProcess.get(task.tgid)?.calls.dropThread(task.tid);
      if (task.tid === task.tgid) this.#spaces.drop(task.tgid);
    },
  };

  #born(parent: Task, child: Task, birth: Birth): void {
    if (birth.isThread) return;
    if (birth.kind === 'vfork') this.#spaces.share(parent.tgid, child.tgid);
    else {
      this.#spaces.fork(parent.tgid, child.tgid);
      this.#changes.askForStop(child);
    }
  }

  #executed(engine: Engine): Verdict {
    this.#spaces.renew(engine.task.tgid);
    if (this.#places.all.length > 0) this.#loading.begin(engine);
    return Action.INTERRUPT;
  }

  /** Of a program that is being loaded. */
  #called(task: Task, call: number): Verdict {
    const space = this.#spaces.of(task.tgid);
    if (!space.isStale && space.hasAll(this.#places.all)) this.#loading.end(task.tgid);
    else if (this.#loading.called(task.tgid, call) && space.hasOtherMappings(task.tgid)) space.isStale = true;
    return space.isStale ? this.#changes.bring(task) : undefined;
  }

  #signal({ task }: Engine, { signal, information, disposition }: SignalReport): Verdict {
    if (signal !== SIGNAL.ILL || information.code !== ILL_ILLOPN) return;
    const space = this.#spaces.of(task.tgid);
    const hit = this.#hits.serve(task, space);
    if (hit === 'foreign') return;
    // Delivered, it could come when the handler that a killed tracer has left is gone, and would kill the program. The thread runs into
    // the same instruction again.
    if (hit === 'unknown') return SignalAction.IGNORE | Action.INTERRUPT;
    // The kernel takes the handler from a process whose thread runs into a breakpoint with SIGILL blocked.
    if (hit === 'mappings-change') this.#loading.told(task.tgid);
    if (hit === 'mappings-change' || disposition !== 'handle') space.isStale = true;
    return SignalAction.IGNORE | (space.isStale ? Action.INTERRUPT : Action.RESUME);
  }
}
