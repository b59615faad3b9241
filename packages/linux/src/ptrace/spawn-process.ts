/** posix_spawn(3): processes that libuv does not know, and so does not wait for. */
import { ERRNO } from '@usertrace/base';
import { addressOf, libc } from '../bindings.ts';
import type { ProgramImage } from './program-image.ts';
import { StringsImage } from './strings-image.ts';

const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** posix_spawnattr_t has 336 bytes in glibc and musl, posix_spawn_file_actions_t 80. */
const SPAWN_STRUCTURE_BYTES = 512;

/** execve(2) of a file that is no program: it is given to the shell (execvp(3)). */
export const ENOEXEC = 8;

/** The descriptors that become 0, 1 and 2. */
export type Stdio = readonly [number, number, number];

/** Node closes its own at exec, unless they are said to stay (posix_spawn_file_actions_adddup2(3)). */
export const OUR_STDIO: Stdio = [0, 1, 2];

/**
 * Starts a program, as our child, whose signals are unblocked and do what they do by default, and which has none of our descriptors
 * but three.
 *
 * @returns its process id, or the negative error number of what failed, execve(2) included
 */
export function spawnProgram(program: ProgramImage, stdio: Stdio = OUR_STDIO): number {
  const attributes = new Uint8Array(SPAWN_STRUCTURE_BYTES);
  const actions = new Uint8Array(SPAWN_STRUCTURE_BYTES);
  const pid = new Int32Array(32);
  const bytes = Buffer.alloc(program.size);
  const image = new StringsImage(BigInt(addressOf(bytes)), bytes);
  const { attempts, shell, envp } = program.layOut(image);
  const c = libc();
  c.posix_spawnattr_init(attributes);
  c.posix_spawn_file_actions_init(actions);
  try {
    c.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    c.posix_spawnattr_setsigdefault(attributes, new Uint8Array(128).fill(0xff));
    c.posix_spawnattr_setsigmask(attributes, new Uint8Array(128));
    for (const [wanted, fd] of stdio.entries()) c.posix_spawn_file_actions_adddup2(actions, fd, wanted);
    let failed: number = ERRNO.ENOENT;
    for (const { file, argv, shellArgv } of attempts) {
      // At the image's own memory, which stays for the call.
      failed = c.posix_spawn(pid, image.at(file), actions, attributes, image.at(argv), image.at(envp));
      if (failed === ENOEXEC)
        failed = c.posix_spawn(
          pid,
          image.at(shell),
          actions,
          attributes,
          image.at(shellArgv),
          image.at(envp),
        );
      if (failed === 0) return pid[0] as number;
    }
    return -failed;
  } finally {
    c.posix_spawn_file_actions_destroy(actions);
    c.posix_spawnattr_destroy(attributes);
  }
}
