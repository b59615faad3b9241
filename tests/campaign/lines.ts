/**
 * What probes fetch in real programs, beside the kernel: the same definitions, the lines of both.
 *
 * Addresses differ from run to run, so numbers are cut to the bits within a page, and bytes that are no short text count alike. Also that is not wholly deterministic; only events whose lines are the same twice under the kernel are compared.
 */
import { eventPrinter, EntryView, parseEventFormat, probePrinter } from '@usertrace/formats';
import { type ProbeDefinition, probeFormatText, RecordEncoder } from '@usertrace/uprobes';
import { KernelUprobes } from '../support/kernel-uprobes.ts';
import type { Place, ProbeKind } from './places.ts';
import { definitionOf, runAlone, runTraced } from './run.ts';
import type { Workload } from './workload.ts';

const WORDS: Readonly<Record<ProbeKind, string>> = {
  p: 'a=%di:b12@0/64 b=%si:b12@0/64 c=%dx:b12@0/64 d=%cx:b12@0/64 s=+0(%di):string',
  // Of a bool that is returned no more than this is meant.
  r: 'a=$retval:b8@0/64 b=%bx:b12@0/64 c=%bp:b12@0/64 d=%sp:b12@0/64 s=+0($retval):string',
};
/**
 * Texts that count. A jump fetches fewer characters than the kernel, which fetches none where it finds no end; and what is not
 * initialised can be a short text by chance.
 */
const TEXT = /^"[\x20-\x7e]{4,200}"$/u;
/** The kernel needs some tens of milliseconds for each event. */
const EVENTS_MAX = 12;
const HITS_MAX = 400;
const BUFFER_KIB = 8_192;
/** More than the gap that Linux leaves for a stack without being asked (128 MiB). */
const MOVED_STACK_BYTES = 300 * 1024 * 1024;

/** How the lines compare. */
export interface LinesFinding {
  readonly events: number;
  readonly lines: number;
  /** Events whose lines differ between two runs under the kernel, or are not all there. */
  readonly undetermined: number;
  readonly differences: readonly string[];
}

/**
 * @param counts how often places are hit
 * @throws {Error} when the workload does not end in time
 */
export async function compareLines(
  workload: Workload,
  counts: ReadonlyMap<Place, number>,
  folder: string,
  timeoutMs: number,
): Promise<LinesFinding> {
  const places = [...counts].filter(
    ([{ name }, hits]) => hits > 0 && hits <= HITS_MAX && !name.includes('+'),
  );
  const chosen = workload.hasVaryingPointers ? [] : places.slice(0, EVENTS_MAX).map(([place]) => place);
  if (chosen.length === 0) return { events: 0, lines: 0, undetermined: 0, differences: [] };
  const fixed = { ...workload, command: ['/usr/bin/setarch', '-R', ...workload.command] };
  const first = kernelLines(fixed, chosen, folder, timeoutMs);
  // With another gap between stack and libraries: what a program does by addresses, it does otherwise then.
  const moved = { ...fixed, command: ['/usr/bin/prlimit', `--stack=${MOVED_STACK_BYTES}`, ...fixed.command] };
  const second = kernelLines(moved, chosen, folder, timeoutMs);
  const ours = await ourLines(fixed, chosen, folder, timeoutMs);
  const finding = { events: chosen.length, lines: 0, undetermined: 0, differences: [] as string[] };
  for (const [index, place] of chosen.entries()) {
    const [kernel = [], again = [], seen = []] = [first[index], second[index], ours[index]];
    // Of a line with a long text the kernel says `[LINE TOO BIG]` and no more.
    if (kernel.join('\n') !== again.join('\n') || kernel.length !== counts.get(place)) {
      finding.undetermined++;
      continue;
    }
    finding.lines += kernel.length;
    const at = kernel.findIndex((line, number) => line !== seen[number]);
    if (at >= 0 || kernel.length !== seen.length)
      finding.differences.push(
        `line ${at + 1} of ${place.name}: ${seen[at]}, the kernel's ${kernel[at]}; ${seen.length} and ${kernel.length} lines`,
      );
  }
  return finding;
}

function eventOf(index: number): string {
  return `event${index}`;
}

function kernelLines(
  workload: Workload,
  places: readonly Place[],
  folder: string,
  timeoutMs: number,
): string[][] {
  using kernel = new KernelUprobes(BUFFER_KIB);
  for (const [index, { offset, kind }] of places.entries())
    kernel.add(eventOf(index), workload.file, offset, WORDS[kind], kind);
  kernel.enable(true, true);
  if (runAlone(workload, folder, timeoutMs) === undefined)
    throw new Error(`Cannot wait longer than ${timeoutMs} ms for ${workload.name}`);
  kernel.enable(false, true);
  const lines = places.map((): string[] => []);
  for (const line of kernel.lines) {
    // A text with line ends goes on in lines of its own.
    const [, index, text = ''] = /^event(\d+): (.*)$/su.exec(line) ?? [];
    if (index !== undefined) lines[Number(index)]?.push(comparable(text));
  }
  return lines.map((each) => each.toSorted());
}

async function ourLines(
  workload: Workload,
  places: readonly Place[],
  folder: string,
  timeoutMs: number,
): Promise<string[][]> {
  const definitions = places.map((place, index) =>
    definitionOf(workload.file, place, eventOf(index), WORDS[place.kind]),
  );
  const printers = definitions.map(printerOf);
  const lines = places.map((): string[] => []);
  await runTraced(workload, definitions, folder, timeoutMs, (index, { address, returnAddress, values }) => {
    const addresses = returnAddress === undefined ? [address] : [address, returnAddress];
    lines[index]?.push(comparable(printers[index]?.(addresses.map(BigInt), values) ?? ''));
  });
  return lines.map((each) => each.toSorted());
}

/** Prints a hit as `usertrace trace` does. */
function printerOf(
  definition: ProbeDefinition,
): (addresses: readonly bigint[], values: Parameters<RecordEncoder['encodeValues']>[1]) => string {
  const encoder = new RecordEncoder(definition);
  const format = parseEventFormat(definition.group, probeFormatText(definition, 1));
  if (format === undefined) throw new Error(`Cannot print ${definition.event}`);
  const print = probePrinter(format) ?? eventPrinter(format);
  const view = new EntryView();
  return (addresses, values) => {
    view.set(encoder.bytes.subarray(0, encoder.encodeValues(addresses, values)));
    return print(view);
  };
}

/** A line without its address, and without what is no text: that may be a pointer. */
function comparable(line: string): string {
  const [numbers = '', text = ''] = line.replace(/^\(.*?\)/u, '').split(/ s=(.*)$/su);
  return TEXT.test(text) ? `${numbers} s=${text}` : numbers;
}
