/**
 * `uprobe_events` and `uprobe_profile` (Documentation/trace/uprobetracer.rst). The probes are somewhere else, so each read asks for
 * them, and a write is answered when its commands are done.
 */
import type { Caller, FileNode, OpenFile, OpenMode, Reply } from '../node.ts';
import type { TraceInstance } from '../instance.ts';
import type { ProbeRefusal, ProbesPort } from '../probe-event.ts';
import { closeIn, FILE_MODE, openIn } from './control-file.ts';
import { bytesOf, textOf } from './written-text.ts';

/** The kernel takes a write in portions of this many bytes, and a line must end within one. */
const PORTION_BYTES = 4095;
/** Where errors of probes come from, in `error_log`. */
const LOCATION = 'trace_uprobe';

/** @param isBusy whether somebody listens to a probe's event in this tree: then not all can be removed */
export function uprobeEventsFile(top: TraceInstance, probes: ProbesPort, isBusy: () => boolean): FileNode {
  return {
    kind: 'file',
    mode: FILE_MODE.readWrite,
    access: 'text',
    open: (_caller, mode) =>
      openIn(top, () => {
        const mustClear = mode.writable && mode.truncate;
        return mustClear && isBusy() ? 'EBUSY' : new OpenProbeFile(top, () => probes.listing(), probes, mode);
      }),
  };
}

export function uprobeProfileFile(top: TraceInstance, probes: ProbesPort): FileNode {
  return {
    kind: 'file',
    mode: FILE_MODE.read,
    access: 'text',
    open: () => openIn(top, () => new OpenProbeFile(top, () => probes.profile())),
  };
}

class OpenProbeFile implements OpenFile {
  readonly #top: TraceInstance;
  readonly #fetch: () => Promise<string>;
  readonly #probes: ProbesPort | undefined;
  /** The text of the reads of this open file; asked for anew by a read from the beginning. */
  #text: Promise<Uint8Array> | undefined;
  /** What was asked for before, and how it ended. */
  #last: Promise<ProbeRefusal | undefined> = Promise.resolve(undefined);

  constructor(top: TraceInstance, fetch: () => Promise<string>, probes?: ProbesPort, mode?: OpenMode) {
    this.#top = top;
    this.#fetch = fetch;
    this.#probes = probes;
    if (probes !== undefined && mode?.writable === true && mode.truncate) this.#last = probes.clear();
  }

  read(_caller: Caller, offset: number, size: number, reply: Reply<Uint8Array>): void {
    let isOver = false;
    reply.onInterrupt(() => {
      isOver = true;
    });
    if (offset === 0 || this.#text === undefined) this.#text = this.#fetch().then(bytesOf);
    void this.#text.then((bytes) => {
      if (!isOver) reply.done(bytes.subarray(offset, offset + size));
    });
  }

  write(caller: Caller, _offset: number, bytes: Uint8Array, reply: Reply<number>): void {
    const probes = this.#probes;
    if (probes === undefined) return reply.fail('EINVAL');
    const written = textOf(bytes);
    const lines = linesOf(written);
    let isOver = false;
    reply.onInterrupt(() => {
      isOver = true;
    });
    this.#last = this.#last.then((refusal) => refusal ?? this.#execute(probes, lines ?? [], caller));
    void this.#last.then((refusal) => {
      // The following write begins anew.
      this.#last = Promise.resolve(undefined);
      if (isOver) return;
      if (refusal !== undefined) reply.fail(refusal.code);
      else if (lines === undefined) reply.fail('EINVAL');
      else reply.done(written.length);
    });
  }

  release(): void {
    closeIn(this.#top);
  }

  async #execute(
    probes: ProbesPort,
    lines: readonly string[],
    caller: Caller,
  ): Promise<ProbeRefusal | undefined> {
    for (const line of lines) {
      const refusal = await probes.execute(line, caller);
      if (refusal === undefined) continue;
      const { log } = refusal;
      if (log !== undefined) this.#top.errors.add(LOCATION, log.text, log.command, log.position);
      return refusal;
    }
    return undefined;
  }
}

/** The commands of a write; undefined when one is too long. */
function linesOf(written: string): string[] | undefined {
  // A zero byte ends the kernel's string, but not the write: it waits for a line's end that cannot come.
  const lines = written.split('\n');
  if (lines.some((line) => line.length + 1 > PORTION_BYTES || line.includes('\0'))) return undefined;
  return lines.filter((line) => line.trim() !== '');
}
