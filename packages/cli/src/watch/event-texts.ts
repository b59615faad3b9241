/** Events in words: one line each, without the time and the task. */
import { getSystemErrorMap } from 'node:util';
import { escapedText, signalName, type TaskEnd } from '@usertrace/abi';
import { errnoName } from '@usertrace/base';
import type { Disposition } from '@usertrace/utrace';
import type { CloneEvent, ExecEvent, ExitEvent, JobEvent, ReturnEvent, SignalEvent } from './watch-event.ts';

/** Calls that answer an address. */
const ADDRESS_CALLS: ReadonlySet<string> = new Set(['brk', 'mmap', 'mremap', 'shmat']);

/** Errors that no program sees: the kernel makes the call again after a signal, or answers EINTR (linux/errno.h). */
const RESTARTS: Readonly<Record<number, string>> = {
  512: 'ERESTARTSYS',
  513: 'ERESTARTNOINTR',
  514: 'ERESTARTNOHAND',
  516: 'ERESTART_RESTARTBLOCK',
};

const DISPOSITIONS: Readonly<Record<Disposition, string>> = {
  handle: 'handled',
  ignore: 'ignored',
  terminate: 'kills',
  core: 'kills, dumps core',
  stop: 'stops',
  continue: 'continues',
};

/** Codes of any signal (sigaction(2)). */
const CODES: Readonly<Record<number, string>> = {
  0: 'SI_USER',
  128: 'SI_KERNEL',
  [-1]: 'SI_QUEUE',
  [-2]: 'SI_TIMER',
  [-3]: 'SI_MESGQ',
  [-4]: 'SI_ASYNCIO',
  [-5]: 'SI_SIGIO',
  [-6]: 'SI_TKILL',
};

/** Codes above 0, by the signal's name. */
const CODES_BY_SIGNAL: Readonly<Record<string, readonly string[]>> = {
  SIGCHLD: ['CLD_EXITED', 'CLD_KILLED', 'CLD_DUMPED', 'CLD_TRAPPED', 'CLD_STOPPED', 'CLD_CONTINUED'],
  SIGSEGV: ['SEGV_MAPERR', 'SEGV_ACCERR'],
  SIGBUS: ['BUS_ADRALN', 'BUS_ADRERR', 'BUS_OBJERR'],
  SIGTRAP: ['TRAP_BRKPT', 'TRAP_TRACE'],
  SIGFPE: ['FPE_INTDIV', 'FPE_INTOVF'],
  SIGILL: ['ILL_ILLOPC', 'ILL_ILLOPN'],
};

/** The name of a signal's code, such as `SI_USER`. */
export function signalCodeName(signal: number, code: number): string {
  return CODES[code] ?? CODES_BY_SIGNAL[signalName(signal)]?.[code - 1] ?? `code ${code}`;
}

/** The name of an error, that of a restart among them; undefined for 0. */
export function errorName(errno: number): string | undefined {
  return errno === 0 ? undefined : (RESTARTS[errno] ?? errnoName(errno));
}

/** Node makes the map anew each time that it is asked for. */
let systemErrors: ReturnType<typeof getSystemErrorMap> | undefined;

/** What a call answered, as behind `=`: `3`, `-1 ENOENT (no such file or directory)`, `? ERESTARTSYS`. */
export function resultText({ name, result, errno }: ReturnEvent): string {
  if (errno === 0) {
    return ADDRESS_CALLS.has(name) ? `0x${BigInt.asUintN(64, result).toString(16)}` : String(result);
  }
  const restart = RESTARTS[errno];
  if (restart !== undefined) return `? ${restart} (to be restarted)`;
  const meaning = (systemErrors ??= getSystemErrorMap()).get(-errno)?.[1];
  return `-1 ${errnoName(errno)}${meaning === undefined ? '' : ` (${meaning})`}`;
}

/** How something ended: `exited with 3`. */
export function endText({ code, signal, dumpedCore }: TaskEnd): string {
  if (signal === undefined) return `exited with ${code ?? 0}`;
  return `killed by ${signalName(signal)}${dumpedCore ? ' (core dumped)' : ''}`;
}

export function cloneText({ how, child }: CloneEvent): string {
  return `${how} ${child}`;
}

export function execText({ file, args, formerTid, task }: ExecEvent): string {
  const words = args.map((word) => `"${escapedText(Buffer.from(word))}"`).join(', ');
  const former = formerTid === task.tid ? '' : ` by thread ${formerTid}`;
  return `exec ${escapedText(Buffer.from(file))} [${words}]${former}`;
}

export function exitText({ end, isThread }: ExitEvent): string {
  return `${isThread ? 'thread ' : ''}${endText(end)}`;
}

export function signalText({ signal, code, sender, address, disposition }: SignalEvent): string {
  const from = sender === undefined ? '' : ` from ${sender.pid} (uid ${sender.uid})`;
  const where = address === undefined ? '' : ` at 0x${address.toString(16)}`;
  return `${signalName(signal)} ${signalCodeName(signal, code)}${from}${where}: ${DISPOSITIONS[disposition]}`;
}

export function jobText({ isStopped, signal }: JobEvent): string {
  return isStopped ? `stopped by ${signalName(signal)}` : 'goes on';
}
