/** The end of tracing: tasks are let go when they can be stopped for that, and dead ones that nobody has waited for stay. */
import type { Clock, PtracePort } from './port.ts';
import type { Task } from './task.ts';
import type { TaskTable } from './task-table.ts';

const DEADLINE_MS = 5_000;
const LOOK_MS = 25;

/**
 * Waits until all tasks are let go or dead, 5 s at most.
 *
 * @param tasks nobody has engines on them, and they were asked to stop
 * @returns those that do not stop
 */
export async function untilOnlyDead(port: PtracePort, clock: Clock, tasks: TaskTable): Promise<Task[]> {
  const stuck = (): Task[] => [...tasks.values()].filter(({ tid }) => port.status(tid)?.state !== 'Z');
  for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += LOOK_MS) {
    await new Promise<void>((resolve) => {
      const pause = clock.after(LOOK_MS, resolve);
      void tasks.untilEmpty().then(() => {
        pause.cancel();
        resolve();
      });
    });
    if (stuck().length === 0) return [];
  }
  return stuck();
}
