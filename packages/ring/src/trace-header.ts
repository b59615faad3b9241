/** The comment that `trace` begins with, as the kernel prints it for each combination of options. */
import type { TraceOptions } from './trace-text.ts';

/** What the header of `trace` says. */
export interface TraceHeader {
  /** The name of the current tracer. */
  readonly tracer: string;
  /** Events that can be read. */
  readonly entries: number;
  /** Those, and the ones that were overwritten. */
  readonly written: number;
  readonly cpuCount: number;
}

const IRQ_LEGEND = [
  '                                _-----=> irqs-off/BH-disabled',
  '                               / _----=> need-resched',
  '                              | / _---=> hardirq/softirq',
  '                              || / _--=> preempt-depth',
  '                              ||| / _-=> migrate-disable',
  '                              |||| /     delay',
];
/** The column that the option record-tgid adds is this wide. */
const TGID_SPACE = ' '.repeat(10);

/**
 * The header of a `trace` file.
 *
 * @param header what it says
 * @param options which columns there are
 */
export function traceHeaderText(header: TraceHeader, options: TraceOptions): string {
  const lines = [` tracer: ${header.tracer}`, ''];
  if (options.contextInfo) {
    lines.push(
      ` entries-in-buffer/entries-written: ${header.entries}/${header.written}   #P:${header.cpuCount}`,
    );
    lines.push('', ...columnLines(options));
  }
  return lines.map((line) => `#${line}\n`).join('');
}

function columnLines({ irqInfo, recordTgid }: TraceOptions): string[] {
  const flags = irqInfo ? '  |||||' : '   ';
  const legend = irqInfo ? IRQ_LEGEND.map((line) => (recordTgid ? TGID_SPACE : '') + line) : [];
  const tgidName = recordTgid ? '  TGID    ' : '';
  const tgidMark = recordTgid ? '  |       ' : '';
  return [
    ...legend,
    `           TASK-PID     ${tgidName}CPU#${flags}  TIMESTAMP  FUNCTION`,
    `              | |         ${tgidMark}| ${flags}     |         |`,
  ];
}
