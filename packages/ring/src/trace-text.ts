/**
 * Lines of `trace` and `trace_pipe`. A TraceText belongs to one reading of one of these files: it remembers what
 * was printed, because some lines depend on it. Names of tasks and the text of events come from outside.
 *
 *                 bash-1234    (   1200) [001] d..1.  2960.490374: tracing_mark_write: hello
 *     |_______________|_______||_________|____|_____|_____________|
 *       task's name    pid      record-tgid cpu flags  time         the event's own text
 *
 * Strings hold one byte in each character (latin1), as everywhere in this project.
 */
import { ENTRY_FLAG, PRINT_EVENT_ID, printEntryText } from '@usertrace/abi';
import type { Cpu } from '@usertrace/base';
import type { ClockText } from './clock-text.ts';
import type { TraceRecord } from './trace-record.ts';

/** The trace options that matter to the text, by the names they have in `options/`. */
export interface TraceOptions {
  /** irq-info: the column of flags. */
  readonly irqInfo: boolean;
  /** record-tgid: the column of thread group ids. */
  readonly recordTgid: boolean;
  /** context-info: everything before the event's own text. */
  readonly contextInfo: boolean;
  /** annotate: a line where the buffer of a CPU starts, if events were overwritten. */
  readonly annotate: boolean;
}

/** What a TraceText asks others. */
export interface TraceSources {
  /** The name of a task, `<...>` for one that is not known. */
  commOf(pid: number): string;
  /** The thread group of a task; undefined when it is not known. */
  tgidOf(pid: number): number | undefined;
  /** The event's own text with its line end; undefined when there is no event with this id. */
  eventText(typeId: number, entry: Uint8Array): string | undefined;
}

/** Which file the text is for. */
export interface TraceReading {
  /** `trace` reads a snapshot, `trace_pipe` consumes. */
  readonly file: 'trace' | 'trace_pipe';
  /** Whether events had been overwritten when the file was opened. */
  readonly hasOverrun: boolean;
}

/** Events that begin a trace so early that the start of their CPU's buffer goes without saying. */
const UNANNOTATED_EVENTS = 2;

export class TraceText {
  readonly #reading: TraceReading;
  readonly #options: TraceOptions;
  readonly #sources: TraceSources;
  readonly #clock: ClockText;
  readonly #startedCpus = new Set<Cpu>();
  #eventCount = 0;

  /**
   * @param reading the file this is for
   * @param clock the clock of the buffer
   * @param options asked anew for each record
   * @param sources where names and texts come from
   */
  constructor(reading: TraceReading, clock: ClockText, options: TraceOptions, sources: TraceSources) {
    this.#reading = reading;
    this.#clock = clock;
    this.#options = options;
    this.#sources = sources;
  }

  /**
   * The lines for one record, those about lost events and started buffers included. Call it once for each
   * record, in the order of reading.
   *
   * @param record a record of the buffer
   */
  lines(record: TraceRecord): string {
    const text =
      record.typeId === PRINT_EVENT_ID
        ? `tracing_mark_write: ${printEntryText(record.entry)}`
        : (this.#sources.eventText(record.typeId, record.entry) ?? `Unknown type ${record.typeId}\n`);
    const context = this.#options.contextInfo ? this.#context(record) : '';
    return this.#lostLine(record) + this.#startLine(record.cpu) + context + text;
  }

  #lostLine({ cpu, lostBefore }: TraceRecord): string {
    if (lostBefore === 0) return '';
    // The kernel's iterator over a snapshot only knows that there was a loss.
    const count = this.#reading.file === 'trace' ? '' : `${lostBefore} `;
    return `CPU:${cpu} [LOST ${count}EVENTS]\n`;
  }

  #startLine(cpu: Cpu): string {
    const position = this.#eventCount;
    this.#eventCount += 1;
    const { file, hasOverrun } = this.#reading;
    if (file !== 'trace' || !hasOverrun || !this.#options.annotate || this.#startedCpus.has(cpu)) return '';
    this.#startedCpus.add(cpu);
    return position < UNANNOTATED_EVENTS ? '' : `##### CPU ${cpu} buffer started ####\n`;
  }

  #context({ pid, cpu, flags, preemptCount, time }: TraceRecord): string {
    const task = `${this.#sources.commOf(pid).padStart(16)}-${String(pid).padEnd(7)} `;
    const group = this.#options.recordTgid ? `(${this.#tgid(pid)}) ` : '';
    const states = this.#options.irqInfo ? flagLetters(flags, preemptCount) : '';
    return `${task}${group}[${String(cpu).padStart(3, '0')}] ${states} ${this.#clock.column(time)}: `;
  }

  #tgid(pid: number): string {
    return this.#sources.tgidOf(pid)?.toString().padStart(7) ?? '-------';
  }
}

/**
 * The five letters that say in which state the kernel was: interrupts, rescheduling, kind of interrupt,
 * preemption, migration.
 *
 * @param flags bits of ENTRY_FLAG
 * @param preemptCount low 4 bits: depth of preemption off; high 4 bits: depth of migration off
 */
export function flagLetters(flags: number, preemptCount: number): string {
  const irqsOff = (flags & ENTRY_FLAG.IRQS_OFF) !== 0;
  const bhOff = (flags & ENTRY_FLAG.BH_OFF) !== 0;
  const interrupts = irqsOff ? (bhOff ? 'D' : 'd') : bhOff ? 'b' : '.';
  return (
    interrupts +
    rescheduleLetter(flags) +
    interruptLetter(flags) +
    depthLetter(preemptCount & 15) +
    depthLetter((preemptCount >> 4) & 15)
  );
}

/** By need-resched (1), need-resched-lazy (2) and preempt-resched (4). */
const RESCHEDULE_LETTERS = '.nlbpNLB';

function rescheduleLetter(flags: number): string {
  const now = (flags & ENTRY_FLAG.NEED_RESCHED) !== 0 ? 1 : 0;
  const lazy = (flags & ENTRY_FLAG.NEED_RESCHED_LAZY) !== 0 ? 2 : 0;
  const preempt = (flags & ENTRY_FLAG.PREEMPT_RESCHED) !== 0 ? 4 : 0;
  return RESCHEDULE_LETTERS.charAt(now + lazy + preempt);
}

function interruptLetter(flags: number): string {
  const hard = (flags & ENTRY_FLAG.HARDIRQ) !== 0;
  if ((flags & ENTRY_FLAG.NMI) !== 0) return hard ? 'Z' : 'z';
  const soft = (flags & ENTRY_FLAG.SOFTIRQ) !== 0;
  if (hard) return soft ? 'H' : 'h';
  return soft ? 's' : '.';
}

function depthLetter(depth: number): string {
  return depth === 0 ? '.' : depth.toString(16);
}
