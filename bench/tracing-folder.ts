/**
 * `TracingFolder`: a runtime folder of the benchmark's own, so that it sees no process but its own, and nobody else's
 * session sees them. Whoever makes one disposes of it when its processes have ended.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Where memory is a file system; elsewhere the kernel's write-back would disturb the writer. */
const SHARED_MEMORY = '/dev/shm';

export class TracingFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<TracingFolder> {
    const parent = existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir();
    return new TracingFolder(await mkdtemp(path.join(parent, 'usertrace-bench-')));
  }

  /**
   * The environment of processes that are to use it.
   *
   * @param isOn whether all their tracepoints are on from the start: each thread's flight recorder, which nobody reads
   */
  env(isOn: boolean): NodeJS.ProcessEnv {
    const { USERTRACE_ENABLE: _, ...rest } = process.env;
    return { ...rest, USERTRACE_RUNTIME_DIR: this.#folder, ...(isOn ? { USERTRACE_ENABLE: '*' } : {}) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
