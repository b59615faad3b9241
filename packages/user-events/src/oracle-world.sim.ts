/**
 * The world of the oracle's scenarios: actors (oracle-actors.sim.ts) that are driven by the ops of uevdrive.c, on top
 * of the domain alone. Everything deferred and every store ends after each op.
 */

import {
  commandFromBytes,
  decodeUserReg,
  decodeUserUnreg,
  formatFileText,
  printEventFields,
  USER_REG_SIZE,
  USER_UNREG_SIZE,
} from '@usertrace/abi';
import type { Address, ErrnoName } from '@usertrace/base';
import { type EventTracer, type UserEvent, UserEvents } from './index.ts';
import { SimulatedMemoryPort } from './memory.sim.ts';
import { type Actor, OracleActors, requesterOf, ROOT, wordAddress } from './oracle-actors.sim.ts';

type Answer = Record<string, unknown>;

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const failed = (errno: ErrnoName): Answer => ({ ret: -1, errno });

/** Runs ops and gives their answers. */
export class OracleWorld {
  readonly #port = new SimulatedMemoryPort();
  readonly #deferred: (() => void)[] = [];
  readonly #events = new UserEvents({
    memory: this.#port,
    deferred: {
      defer: (work) => void this.#deferred.push(work),
      after: (_delayNs, work) => {
        this.#deferred.push(work);
        return { cancel: () => void this.#deferred.splice(this.#deferred.indexOf(work), 1) };
      },
    },
  });
  readonly #actors = new OracleActors(this.#events, this.#port);
  #trace = '';
  readonly #tracer: EventTracer = {
    accepts: () => true,
    record: (event, pid, payload) => {
      const length = 8 + payload.length;
      const entry = new Uint8Array(Math.ceil(length / 4) * 4);
      const view = new DataView(entry.buffer);
      view.setUint16(0, event.id, true);
      view.setInt32(4, pid, true);
      entry.set(payload, 8);
      this.#trace += printEventFields(event.name, event.fields, entry);
    },
  };

  /** @returns the op's answer, undefined for `settle` */
  run(line: string): Answer | undefined {
    const [who = '', op = '', ...rest] = line.split(' ');
    if (who === '-') return undefined;
    const actor = this.#actors.named(who);
    let answer: Answer | undefined;
    this.#perform(actor, op, rest.join(' '), (given) => {
      answer = given;
    });
    this.#settle();
    return answer;
  }

  #perform(actor: Actor, op: string, rest: string, reply: (answer: Answer) => void): void {
    const words = rest.split(' ');
    const numbers = words.map(Number);
    const [first = 0, second = 0, third = 0] = numbers;
    switch (op) {
      case 'open': {
        const file = this.#events.openFile(ROOT);
        if (typeof file === 'string') return reply(failed(file));
        actor.slots.set(first, { file, users: 1 });
        return reply({ ret: 0 });
      }
      case 'close':
        return reply(this.#actors.close(actor, first) ? { ret: 0 } : failed('EBADF'));
      case 'reg': {
        const [, word = 0, bit = 0, size = 0, flags = 0, offset = 0] = numbers;
        const address = wordAddress(word) + BigInt(offset);
        const name = textFrom(rest, 6);
        return this.#register(
          actor,
          first,
          { structSize: USER_REG_SIZE, address, bit, size, flags, name },
          reply,
        );
      }
      case 'regraw': {
        const [, structSize = 0, word = 0, bit = 0, size = 0, flags = 0] = numbers;
        const name = textFrom(rest, 6);
        return this.#register(
          actor,
          first,
          { structSize, address: wordAddress(word), bit, size, flags, name },
          reply,
        );
      }
      case 'regaddr': {
        const address = BigInt(`0x${words[1]}`);
        const name = textFrom(rest, 4);
        const [, , bit = 0, size = 0] = numbers;
        return this.#register(
          actor,
          first,
          { structSize: USER_REG_SIZE, address, bit, size, flags: 0, name },
          reply,
        );
      }
      case 'unreg':
        return this.#unregister(actor, first, wordAddress(second), third, reply);
      case 'del': {
        const file = actor.slots.get(first)?.file;
        if (file === undefined) return reply(failed('EBADF'));
        const answer = file.delete(requesterOf(actor), commandFromBytes(cString(textFrom(rest, 1))));
        return reply(answer === 'ok' ? { ret: 0 } : failed(answer));
      }
      case 'write':
      case 'writev': {
        const index = fromHex('00000000');
        new DataView(index.buffer).setInt32(0, second, true);
        return reply(this.#write(actor, first, [...index, ...fromHex(words.slice(2).join(''))]));
      }
      case 'raw':
        return reply(this.#write(actor, first, [...fromHex(words[1] ?? '')]));
      case 'word':
        return reply({ word: actor.memory.readWord(wordAddress(first)).toString(16) });
      case 'set':
        actor.memory.writeWord(wordAddress(first), BigInt(`0x${words[1]}`));
        return reply({ ret: 0 });
      case 'mapro':
        return reply(actor.memory.protect(wordAddress(first), 'read-only') ? { ret: 0 } : failed('ENOMEM'));
      case 'unmap':
        actor.memory.protect(wordAddress(first), 'unmapped');
        return reply({ ret: 0 });
      case 'dontneed':
        return reply(actor.memory.discard(wordAddress(first)) ? { ret: 0 } : failed('ENOMEM'));
      case 'fork':
      case 'clonevm':
        this.#actors.fork(actor, rest, op === 'clonevm');
        return reply({ ret: 0 });
      case 'exec':
        this.#actors.exec(actor);
        return reply({ ret: 0 });
      case 'exit':
        this.#actors.exit(actor);
        return reply({ ret: 0 });
      case 'enable':
        return reply(this.#enable(words[0] ?? '', words[1] ?? '', words[2] ?? ''));
      case 'put':
        return reply(this.#put(actor, textFrom(rest, 1)));
      case 'cat':
        return reply(this.#cat(rest));
      case 'ls':
        return reply(this.#list(rest.slice('events/'.length)));
      default:
        throw new Error(`unknown op ${op}`);
    }
  }

  #register(
    actor: Actor,
    slot: number,
    reg: { structSize: number; address: bigint; bit: number; size: number; flags: number; name: string },
    reply: (answer: Answer) => void,
  ): void {
    const file = actor.slots.get(slot)?.file;
    if (file === undefined) return reply(failed('EBADF'));
    const bytes = new Uint8Array(Math.max(USER_REG_SIZE, reg.structSize));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, reg.structSize, true);
    view.setUint8(4, reg.bit);
    view.setUint8(5, reg.size);
    view.setUint16(6, reg.flags, true);
    view.setBigUint64(8, reg.address, true);
    const request = decodeUserReg(bytes);
    if (typeof request === 'string') return reply(failed(request));
    const command = commandFromBytes(cString(reg.name));
    file.register(requesterOf(actor), request, command, (answer) =>
      reply(typeof answer === 'string' ? failed(answer) : { ret: 0, write_index: answer.writeIndex }),
    );
  }

  #unregister(
    actor: Actor,
    slot: number,
    address: Address,
    bit: number,
    reply: (answer: Answer) => void,
  ): void {
    const file = actor.slots.get(slot)?.file;
    if (file === undefined) return reply(failed('EBADF'));
    const bytes = new Uint8Array(USER_UNREG_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, USER_UNREG_SIZE, true);
    view.setUint8(4, bit);
    view.setBigUint64(8, address, true);
    const request = decodeUserUnreg(bytes);
    if (typeof request === 'string') return reply(failed(request));
    file.unregister(requesterOf(actor), request, (answer) =>
      reply(answer === 'ok' ? { ret: 0 } : failed(answer)),
    );
  }

  #write(actor: Actor, slot: number, bytes: number[]): Answer {
    const file = actor.slots.get(slot)?.file;
    if (file === undefined) return failed('EBADF');
    const answer = file.write(actor.tid, Uint8Array.from(bytes));
    return typeof answer === 'string' ? failed(answer) : { ret: answer };
  }

  #enable(system: string, name: string, value: string): Answer {
    const event = this.#named(system, name);
    if (event === undefined) return failed('ENOENT');
    if (value === '1' && !event.isEnabled) event.attach(this.#tracer);
    if (value === '0' && event.isEnabled) event.detach(this.#tracer);
    return { ret: value.length };
  }

  #put(actor: Actor, text: string): Answer {
    const answer = this.#events.runDynamicCommand(requesterOf(actor), text.replace(/#.*/, ''));
    return answer === 'ok' ? { ret: text.length } : failed(answer);
  }

  #cat(path: string): Answer {
    if (path === 'dynamic_events') return { text: this.#events.dynamicEventsText() };
    if (path === 'user_events_status') {
      return { text: this.#events.statusText() };
    }
    if (path === 'trace') {
      const lines = this.#trace.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return { text: lines.join('\n') };
    }
    const [, system = '', ...name] = path.split('/').slice(0, -1);
    const event = this.#named(system, name.join('/'));
    if (event === undefined) return failed('ENOENT');
    return { text: formatFileText(event.name, event.id, event.fields).replace(/^ID: .*$/m, 'ID: *') };
  }

  #list(system: string): Answer {
    const names = [...this.#events.events].filter((event) => event.system === system).map(({ name }) => name);
    if (names.length === 0) return failed('ENOENT');
    // The kernel's folder ends where it comes to an event that cannot have one.
    const end = names.findIndex((name) => name === '' || name.includes('/'));
    return { names: [...names.slice(0, end < 0 ? names.length : end), 'enable', 'filter'].toSorted() };
  }

  /** An event that has a folder: not one whose name cannot be a folder's. */
  #named(system: string, name: string): UserEvent | undefined {
    if (name === '' || name.includes('/')) return undefined;
    return [...this.#events.events].find((event) => event.system === system && event.name === name);
  }

  #settle(): void {
    for (;;) {
      const store = this.#port.pending[0];
      if (store !== undefined) this.#port.finish(store);
      else {
        const work = this.#deferred.shift();
        if (work === undefined) return;
        work();
      }
    }
  }
}

/** The text behind the first `count` words and the space that follows, as sscanf's `%n` finds it. */
function textFrom(text: string, count: number): string {
  return new RegExp(String.raw`^(?:\S+\s+){${count - 1}}\S+\s*([\s\S]*)$`).exec(text)?.[1] ?? '';
}

function cString(text: string): Uint8Array {
  return Uint8Array.from([...Buffer.from(text, 'latin1'), 0]).subarray(0, 512);
}
