/** How an instance's entries are printed: joins what the ring knows with names of events and tasks. Keeps no state. */

import { type TraceOptions, type TraceSources, TraceText, traceHeaderText } from '@usertrace/ring';
import type { TaskRecorder } from '../instance-tasks.ts';
import type { TraceInstance } from '../instance.ts';
import { entryText } from '../traced-event.ts';
import type { EventCatalog } from './event-catalog.ts';

export class InstanceText {
  readonly #instance: TraceInstance;
  readonly #sources: TraceSources;
  readonly #options: TraceOptions;

  constructor(instance: TraceInstance, catalog: EventCatalog, tasks: TaskRecorder) {
    this.#instance = instance;
    const { options } = instance;
    this.#options = {
      get irqInfo() {
        return options.isOn('irq-info');
      },
      get recordTgid() {
        return options.isOn('record-tgid');
      },
      get contextInfo() {
        return options.isOn('context-info');
      },
      get annotate() {
        return options.isOn('annotate');
      },
    };
    this.#sources = {
      commOf: (tid) => tasks.commOf(tid),
      tgidOf: (tid) => tasks.tgidOf(tid),
      eventText: (id, entry) => {
        const event = catalog.byId(id);
        return event && entryText(event, entry);
      },
    };
  }

  /** What `trace` begins with. */
  header(): string {
    const { buffer, cpuCount } = this.#instance;
    return traceHeaderText({ tracer: 'nop', ...buffer.totals(), cpuCount }, this.#options);
  }

  /** Begins to print entries that are read one after the other. */
  reading(file: 'trace' | 'trace_pipe'): TraceText {
    const hasOverrun = this.#instance.buffer.hasOverrun();
    return new TraceText({ file, hasOverrun }, this.#instance.clock.printed, this.#options, this.#sources);
  }
}
