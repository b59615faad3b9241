/**
 * The running kernel's own uprobes (Documentation/trace/uprobetracer.rst), to compare ours with: events in a group of this process,
 * recorded by a trace instance of its own. Who makes one disposes of it; then nothing of it is left in the kernel.
 *
 * Several probes of one event are switched off together; those of different events one by one, each after some tens of
 * milliseconds. So many probes are made as one event.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

const TRACEFS = '/sys/kernel/tracing';
/** Of the instance's buffer for each CPU. */
const DEFAULT_BUFFER_KIB = 1408;

let count = 0;

export class KernelUprobes implements Disposable {
  readonly #group = `usertrace_${process.pid}_${count++}`;
  readonly #instance = `${TRACEFS}/instances/${this.#group}`;
  /** How many probes there are. */
  #size = 0;
  readonly #paths = new Set<string>();

  /** Whether this process may use them. */
  static areThere(): boolean {
    try {
      closeSync(openSync(`${TRACEFS}/uprobe_events`, 'a'));
      return true;
    } catch {
      return false;
    }
  }

  /** @param bufferKiB of each CPU's buffer of lines */
  constructor(bufferKiB: number = DEFAULT_BUFFER_KIB) {
    mkdirSync(this.#instance);
    writeFileSync(`${this.#instance}/buffer_size_kb`, String(bufferKiB));
  }

  /**
   * Makes a probe, which is off.
   *
   * @param event its name; another probe of that name must have the same words
   * @param path of the file
   * @param offset in it
   * @param words fetch arguments
   * @param kind `p` or `r`
   * @param counter the file offset of a counter that is raised while the probe is on
   * @throws {Error} what the kernel answered
   */
  add(
    event: string,
    path: string,
    offset: number | bigint,
    words = '',
    kind: 'p' | 'r' = 'p',
    counter?: bigint,
  ): void {
    const place = `0x${offset.toString(16)}${counter === undefined ? '' : `(0x${counter.toString(16)})`}`;
    const file = openSync(`${TRACEFS}/uprobe_events`, 'a');
    try {
      writeSync(file, `${kind}:${this.#group}/${event} ${path}:${place} ${words}\n`);
      this.#paths.add(path);
      this.#size++;
    } finally {
      closeSync(file);
    }
  }

  /**
   * Switches all probes on or off.
   *
   * @param isRecording whether lines are recorded too, or hits only counted
   */
  enable(isOn: boolean, isRecording = false): void {
    writeFileSync(`${this.#instance}/tracing_on`, isRecording ? '1' : '0');
    writeFileSync(`${this.#instance}/events/${this.#group}/enable`, isOn ? '1' : '0');
  }

  /**
   * How often each probe was hit by anybody, in the order in which they were made.
   *
   * @throws {Error} when somebody else has probes in the same file
   */
  get hits(): number[] {
    const counts = readFileSync(`${TRACEFS}/uprobe_profile`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/u))
      .filter(([path = '']) => this.#paths.has(path))
      .map(([, , hits]) => Number(hits));
    if (counts.length !== this.#size)
      throw new Error(
        `Cannot count: the kernel has ${counts.length} probes in these files, not ${this.#size}`,
      );
    return counts;
  }

  /** What was recorded and not overwritten: each line from the event's name on. */
  get lines(): string[] {
    return readFileSync(`${this.#instance}/trace`, 'latin1')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace(/^.*? [\d.]+: /u, ''));
  }

  [Symbol.dispose](): void {
    if (existsSync(`${this.#instance}/events/${this.#group}`)) this.enable(false);
    rmdirSync(this.#instance);
    if (this.#size > 0) writeFileSync(`${TRACEFS}/uprobe_events`, `-:${this.#group}/\n`, { flag: 'a' });
  }
}
