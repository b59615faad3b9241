/**
 * A program's start as execve(2) takes it, in memory at a known address: the files that its name may mean, its arguments and its
 * environment. Who makes the calls tries `attempts` in order, until one does not fail.
 */
import { programFiles } from './program-files.ts';
import {
  environmentEntries,
  environmentValue,
  type ProgramEnvironment,
  type ProgramText,
} from './program-text.ts';
import { StringsImage } from './strings-image.ts';

const SHELL = '/bin/sh';
/** Room for each string besides its bytes: its zero byte and alignment, and a pointer to it. */
const BYTES_A_STRING = 16;
const POINTER_BYTES = 8;
/** Null pointers and what else there is once. */
const BYTES_AT_ALL = 4_096;

/** What to start. */
export interface ProgramStart {
  /** The program: a path, or a name that is looked for in PATH of its environment. */
  readonly command: ProgramText;
  readonly args?: readonly ProgramText[];
  /** Its environment; ours if left out. */
  readonly env?: ProgramEnvironment;
}

/** Addresses of what execve(2) is to be given. */
export interface ExecAttempt {
  readonly file: bigint;
  readonly argv: bigint;
  /** For a file that is no program but may be a script without a first line: the shell's arguments (execvp(3)). */
  readonly shellArgv: bigint;
}

/** A program's texts, before they have an address. */
export class ProgramImage {
  /** How many bytes it takes, at most. */
  readonly size: number;
  readonly #command: ProgramText;
  readonly #args: readonly ProgramText[];
  readonly #environment: readonly ProgramText[];
  readonly #files: readonly Buffer[];

  constructor({ command, args = [], env = process.env }: ProgramStart) {
    this.#command = command;
    this.#args = args;
    this.#environment = environmentEntries(env);
    this.#files = programFiles(command, environmentValue(env, 'PATH'));
    const argumentBytes = sizeOf([command, SHELL, ...args]);
    const shellPointers = this.#files.length * (args.length + 3);
    const filesBytes = sizeOf(this.#files) + shellPointers * POINTER_BYTES;
    this.size = BYTES_AT_ALL + argumentBytes + sizeOf(this.#environment) + filesBytes;
  }

  /** Whether there is a file to try. */
  get isFound(): boolean {
    return this.#files.length > 0;
  }

  /** Lays it out in an image that has `size` bytes left for it. */
  layOut(image: StringsImage): PlacedProgram {
    const command = image.putString(this.#command);
    const args = this.#args.map((text) => image.putString(text));
    const argv = image.putPointers([command, ...args]);
    const shell = image.putString(SHELL);
    const attempts = this.#files.map((name) => {
      const file = image.putString(name);
      return { file, argv, shellArgv: image.putPointers([shell, file, ...args]) };
    });
    const envp = image.putPointers(this.#environment.map((text) => image.putString(text)));
    return { attempts, shell, envp };
  }
}

/** Where its parts are. */
export interface PlacedProgram {
  readonly attempts: readonly ExecAttempt[];
  /** The shell's file. */
  readonly shell: bigint;
  readonly envp: bigint;
}

function sizeOf(texts: readonly ProgramText[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + BYTES_A_STRING, 0);
}
