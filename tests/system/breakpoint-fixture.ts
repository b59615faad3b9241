/** Probes in programs of tests/programs, their output, and how their hits read. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { type FetchArgument, type FetchedValue, type Hit, ProbeTracer } from '@usertrace/uprobes';
import { openUtrace, type Utrace } from '@usertrace/utrace';
import { expect } from 'vitest';

/** Runs work with a tracer, and fails for probes that are refused. */
export async function withTracer(
  work: (tracer: ProbeTracer, utrace: Utrace) => Promise<void>,
): Promise<void> {
  const refusals: unknown[] = [];
  await using utrace = openUtrace();
  const tracer = new ProbeTracer(utrace, (reason) => refusals.push(reason));
  await work(tracer, utrace);
  await tracer.close();
  expect(refusals).toEqual([]);
}

/** Starts a program with its output in a file. */
export function start(tracer: ProbeTracer, command: readonly string[], output: string): void {
  const [program = '', ...args] = command;
  const input = openSync('/dev/null', 'r');
  const written = openSync(output, 'w');
  tracer.spawn({ command: program, args, stdio: [input, written, 2] });
  closeSync(input);
  closeSync(written);
}

/** Runs a program to its end without us. */
export function unprobed(command: readonly string[]): string {
  const [program = '', ...args] = command;
  return execFileSync(program, args, { encoding: 'utf8' });
}

/** A hit as the kernel's trace has it behind the event's name. */
export function lineOf({ address, returnAddress, definition, values }: Hit): string {
  const place =
    returnAddress === undefined
      ? `(0x${address.toString(16)})`
      : `(0x${returnAddress.toString(16)} <- 0x${address.toString(16)})`;
  const fields = definition.arguments.map(
    (argument, index) => `${argument.name}=${textOf(values[index], argument)}`,
  );
  return [place, ...fields].join(' ');
}

/** As `print fmt` says. */
function textOf(value: FetchedValue, argument: FetchArgument): string {
  if (value === undefined) return '(fault)';
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'bigint') {
    const { conversion } = argument.type.basic;
    if (conversion === "'%c'") return `'${String.fromCharCode(Number(value))}'`;
    return conversion.startsWith('0x') ? `0x${value.toString(16)}` : String(value);
  }
  return `{${value.map((item) => textOf(item, argument)).join(',')}}`;
}
