/**
 * Events as lines of text: `12.345678 4711 (dd) read(0, 0x7ffc, 1) = 1`.
 *
 * A call and its answer are one line while nothing comes between. The call that was entered last is held back for that;
 * another event, or a moment without one, has it written as `... <unfinished ...>`, and its answer as `<... read resumed>`.
 */
import { escapedText } from '@usertrace/abi';
import { cloneText, execText, exitText, jobText, resultText, signalText } from './event-texts.ts';
import type { LineBatch } from './line-batch.ts';
import type { EnteredCall, EventOutput, WatchedTask, WatchEvent } from './watch-event.ts';

/** A call is shown before its answer when that takes longer, in milliseconds. */
const PATIENCE_MS = 100;

/** Writes lines. It holds a timer while a call is held back; `end` gives that back. */
export class TextOutput implements EventOutput {
  readonly #lines: LineBatch;
  /** The call that was entered last and is not written yet. */
  #held: EnteredCall | undefined;
  #patience: NodeJS.Timeout | undefined;
  /** The call that `#patience` saw held at its last look. */
  #seenHeld: EnteredCall | undefined;

  /** @param lines where lines go; their owner writes what is left at the end */
  constructor(lines: LineBatch) {
    this.#lines = lines;
  }

  take(event: WatchEvent): void {
    if (event.kind === 'return') {
      this.#returned(event);
      return;
    }
    this.#letGo();
    switch (event.kind) {
      case 'enter':
        if (event.call.isFinal) this.#line(event.timeNs, event.task, `${callText(event.call)} = ?`);
        else this.#hold(event.call);
        return;
      case 'abandoned':
        this.#line(event.timeNs, event.task, `<... ${event.call.name} resumed> = ?`);
        return;
      case 'clone':
        this.#line(event.timeNs, event.task, cloneText(event));
        return;
      case 'exec':
        this.#line(event.timeNs, event.task, execText(event));
        return;
      case 'exit':
        this.#line(event.timeNs, event.task, exitText(event));
        return;
      case 'signal':
        this.#line(event.timeNs, event.task, signalText(event));
        return;
      default:
        this.#line(event.timeNs, event.task, jobText(event));
    }
  }

  /** Lets go of what is held back: nothing more will come. */
  end(): void {
    this.#letGo();
    clearInterval(this.#patience);
    this.#patience = undefined;
  }

  #returned(event: WatchEvent & { kind: 'return' }): void {
    const { call, task, name } = event;
    if (call !== undefined && call === this.#held) {
      this.#held = undefined;
      this.#line(call.enteredNs, task, `${callText(call)} = ${resultText(event)}`);
      return;
    }
    this.#letGo();
    this.#line(event.timeNs, task, `<... ${name} resumed> = ${resultText(event)}`);
  }

  #hold(call: EnteredCall): void {
    this.#held = call;
    if (this.#patience !== undefined) return;
    this.#patience = setInterval(() => {
      if (this.#held !== undefined && this.#held === this.#seenHeld) this.#letGo();
      this.#seenHeld = this.#held;
    }, PATIENCE_MS);
    this.#patience.unref();
  }

  #letGo(): void {
    const call = this.#held;
    if (call === undefined) return;
    this.#held = undefined;
    this.#line(call.enteredNs, call.task, `${callText(call)} <unfinished ...>`);
  }

  #line(timeNs: bigint, task: WatchedTask, what: string): void {
    this.#lines.add(`${secondsText(timeNs)} ${taskText(task)} ${what}`);
  }
}

function callText({ name, args }: EnteredCall): string {
  return `${name}(${args.join(', ')})`;
}

/** Seconds with six decimals, as `usertrace report` prints them. */
export function secondsText(timeNs: bigint): string {
  // A double holds microseconds exactly for 285 years.
  return (Math.floor(Number(timeNs) / 1000) / 1e6).toFixed(6);
}

/** Nothing in it has to be escaped: no quote, no backslash, nothing but printable ASCII. */
const PLAIN = /^[ !#-[\]-~]*$/;

function taskText({ pid, tid, comm }: WatchedTask): string {
  const name = PLAIN.test(comm) ? comm : escapedText(Buffer.from(comm));
  return pid === tid ? `${pid} (${name})` : `${pid}/${tid} (${name})`;
}
