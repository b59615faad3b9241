/**
 * The program of a process that waits until the prober has it become another, where Yama lets only named processes trace:
 *
 *     node stand-in.js PROBER
 *
 * It leaves what a program inherits as it was: Node ignores SIGPIPE, and has its own standard input and output close when another
 * program is executed.
 */

import { libc, nameTracer } from '@usertrace/linux';

const SIGPIPE = 13;
/** Sets the flags of a descriptor (fcntl(2)); without FD_CLOEXEC there are none. */
const F_SETFD = 2;
/** struct sigaction of the C library, all zero: SIG_DFL. */
const DEFAULT_ACTION = new Uint8Array(152);
/** Nobody wants it after that. */
const WAIT_MS = 100_000;

libc().sigaction(SIGPIPE, DEFAULT_ACTION, null);
for (const fd of [0, 1, 2]) libc().fcntl(fd, F_SETFD, 0);
// Last: from now on it may become the program.
nameTracer(Number(process.argv[2]));
setTimeout(() => undefined, WAIT_MS);
