/**
 * `Recorder`: moves what is recorded in a trace instance to a stream while CMD runs, inside the serving process.
 *
 * It works on the tree's nodes and never on the mounted files: a process that waits in a read of its own FUSE mount
 * could not even be killed. When the stream's reader is slow it stops reading, so that the buffer overwrites its
 * oldest events and counts them, and CMD never waits for a terminal. It holds the open trace_pipe until `finish`.
 */

import { assert } from '@usertrace/base';
import type { DirectoryNode, OpenFile } from '@usertrace/tracefs';
import type { Writable } from 'node:stream';
import { parseStats } from '../tree/texts.ts';
import { nodeAt, openNode, readNode, readText } from './own-tree.ts';

/** Bytes asked for in one read: some hundred lines. */
const READ_SIZE = 64 * 1024;
/** How long events may gather before they are printed, in milliseconds. Waking for each would slow the server. */
const GATHER_DELAY_MS = 10;

/** What a recording amounts to. */
export interface RecordingCounts {
  readonly eventCount: number;
  readonly lostCount: number;
}

/** Records from its construction on. */
export class Recorder {
  readonly #instance: DirectoryNode;
  readonly #pipe: OpenFile;
  readonly #sink: Writable;
  #isFinishing = false;
  /** The run of `#follow`, which ends after `#isFinishing` is set and `#wake` called. */
  readonly #following: Promise<void>;
  #wake: () => void = () => undefined;

  /**
   * @param instance the folder of a trace instance: it has trace_pipe and per_cpu
   * @param sink takes the text; the caller ends it
   * @throws {ErrnoError} when the instance's trace_pipe cannot be opened
   */
  constructor(instance: DirectoryNode, sink: Writable) {
    this.#instance = instance;
    this.#sink = sink;
    this.#pipe = openNode(nodeAt(instance, 'trace_pipe'), { isReadable: true, isNonBlocking: true });
    this.#following = this.#follow();
  }

  /**
   * Passes on everything that is recorded by now, then lets go of the instance.
   *
   * @returns what was seen in all
   */
  async finish(): Promise<RecordingCounts> {
    this.#isFinishing = true;
    this.#wake();
    await this.#following;
    await this.#drain();
    this.#pipe.release();
    return this.#counts();
  }

  async #follow(): Promise<void> {
    while (!this.#isFinishing) {
      await this.#drain();
      if (this.#sink.writableNeedDrain) await this.#pause((wake) => this.#sink.once('drain', wake));
      else await this.#pause((wake) => this.#whenReadable(() => setTimeout(wake, GATHER_DELAY_MS)));
    }
  }

  /** Reads until the pipe is empty or, while CMD runs, the sink is full. */
  async #drain(): Promise<void> {
    while (this.#isFinishing || !this.#sink.writableNeedDrain) {
      const text = await readNode(this.#pipe, READ_SIZE);
      if (text.length === 0) return;
      this.#sink.write(text);
    }
  }

  /** Waits until `start`'s argument is called, or the recording finishes. */
  async #pause(start: (wake: () => void) => void): Promise<void> {
    if (this.#isFinishing) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      start(resolve);
    });
  }

  #whenReadable(ready: () => void): void {
    assert(
      this.#pipe.isReadable !== undefined && this.#pipe.onReadable !== undefined,
      'trace_pipe can be waited for',
    );
    if (this.#pipe.isReadable()) ready();
    else this.#pipe.onReadable(ready);
  }

  async #counts(): Promise<RecordingCounts> {
    let eventCount = 0;
    let lostCount = 0;
    const cpus = nodeAt(this.#instance, 'per_cpu');
    assert(cpus.kind === 'directory', 'per_cpu is a folder');
    for (const { name } of cpus.entries()) {
      const stats = parseStats(await readText(nodeAt(cpus, `${name}/stats`)));
      eventCount += stats.readCount;
      lostCount += stats.lostCount;
    }
    return { eventCount, lostCount };
  }
}
