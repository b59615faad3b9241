/**
 * The keys of a command that shows a screen: `q` and Ctrl-C end it, Ctrl-Z stops it. The terminal gives keys one by one meanwhile; it
 * is as it was again when the command ends, stops, or dies of a signal that it does not handle (Node sees to that).
 */

import { readFileSync } from 'node:fs';

const CTRL_C = '\u0003';
const CTRL_Z = '\u001A';

/**
 * Listens for keys, if there is a terminal that this process may read.
 *
 * @param quit called when the command is to end
 * @returns gives the terminal back
 */
export function listenForQuit(quit: () => void): () => void {
  const { stdin } = process;
  // Whoever asks a terminal for keys from the background is stopped.
  if (!stdin.isTTY || !isInForeground()) return () => undefined;
  const begin = (): void => {
    stdin.setRawMode(true);
  };
  const pressed = (keys: Buffer): void => {
    for (const key of keys.toString('latin1')) {
      if (key === 'q' || key === CTRL_C) return quit();
      if (key !== CTRL_Z) continue;
      stdin.setRawMode(false);
      // The terminal would have told the whole job.
      process.kill(0, 'SIGTSTP');
    }
  };
  process.on('SIGCONT', begin);
  stdin.on('data', pressed);
  begin();
  return () => {
    process.off('SIGCONT', begin);
    stdin.off('data', pressed);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Whether this process's group is the terminal's (proc_pid_stat(5): pgrp, tpgid). */
function isInForeground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group === foreground;
}
