/** Events as JSON, one object a line. A system call is one object, written when it has answered, or cannot any more. */
import { signalName } from '@usertrace/abi';
import { errorName, signalCodeName } from './event-texts.ts';
import type { LineBatch } from './line-batch.ts';
import { secondsText } from './text-output.ts';
import type { EnteredCall, EventOutput, WatchEvent } from './watch-event.ts';

type Row = Record<string, unknown>;

export class JsonOutput implements EventOutput {
  readonly #lines: LineBatch;

  /** @param lines where lines go; their owner writes what is left at the end */
  constructor(lines: LineBatch) {
    this.#lines = lines;
  }

  take(event: WatchEvent): void {
    const row = rowOf(event);
    if (row === undefined) return;
    const { task, timeNs } = event;
    const started = 'call' in event && event.call !== undefined ? event.call.enteredNs : timeNs;
    const { pid, tid, comm } = task;
    this.#lines.add(JSON.stringify({ time: Number(secondsText(started)), pid, tid, comm, ...row }));
  }
}

function rowOf(event: WatchEvent): Row | undefined {
  switch (event.kind) {
    case 'clone':
      return { event: 'clone', how: event.how, child: event.child };
    case 'exec':
      return { event: 'exec', file: event.file, args: event.args, formerTid: event.formerTid };
    case 'exit':
      return {
        event: 'exit',
        isThread: event.isThread,
        code: event.end.code ?? null,
        signal: event.end.signal === undefined ? null : signalName(event.end.signal),
        dumpedCore: event.end.dumpedCore,
      };
    case 'signal':
      return {
        event: 'signal',
        signal: signalName(event.signal),
        code: signalCodeName(event.signal, event.code),
        sender: event.sender ?? null,
        ...(event.address === undefined ? {} : { address: `0x${event.address.toString(16)}` }),
        disposition: event.disposition,
      };
    case 'job':
      return { event: 'job', isStopped: event.isStopped, signal: signalName(event.signal) };
    case 'enter':
      return event.call.isFinal ? callRow(event.call, undefined, 0, undefined) : undefined;
    case 'abandoned':
      return callRow(event.call, undefined, 0, event.timeNs);
    default:
      return callRow(event.call ?? event, event.result, event.errno, event.timeNs);
  }
}

function callRow(
  call: EnteredCall | { readonly number: number; readonly name: string },
  result: bigint | undefined,
  errno: number,
  endedNs: bigint | undefined,
): Row {
  const { number, name } = call;
  const entered = 'enteredNs' in call ? call : undefined;
  const microseconds =
    entered === undefined || endedNs === undefined ? undefined : Number(endedNs - entered.enteredNs) / 1000;
  return {
    event: 'syscall',
    name,
    number,
    args: entered?.args ?? null,
    result: result === undefined ? null : exactNumber(result),
    error: errorName(errno) ?? null,
    microseconds: microseconds ?? null,
  };
}

/** A number, or text when a double would round it. */
function exactNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
