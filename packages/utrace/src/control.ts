/** What an engine asks of its task: the answers of Engine.control, whose arguments were checked. */
import { ErrnoError } from '@usertrace/base';
import { Action } from './actions.ts';
import type { Engine, Progress } from './engine.ts';
import type { EngineSet } from './engine-set.ts';
import type { TaskHost } from './task-host.ts';

/**
 * Asks something of a task that lives.
 *
 * @throws {ErrnoError} EAGAIN to step a task that is not stopped
 */
export function controlTask(engine: Engine, action: number, engines: EngineSet, host: TaskHost): Progress {
  const { task } = engine;
  switch (action) {
    case Action.STOP:
      engine.wantsStop = true;
      if (task.isStopped && !task.isReporting) return 'done';
      engines.owesReport = true;
      task.interrupt();
      return 'EINPROGRESS';
    case Action.DETACH:
      return detach(engine, host);
    case Action.REPORT:
    case Action.INTERRUPT:
      engine.wantsStop = false;
      engines.owesReport = true;
      task.interrupt();
      task.settle();
      return 'done';
    case Action.SINGLESTEP:
    case Action.BLOCKSTEP:
      if (!task.isStopped)
        throw new ErrnoError('EAGAIN', `Cannot step task ${task.tid}: it is not stopped; stop it first`);
      break;
    default:
  }
  engine.wantsStop = false;
  engine.wish = action;
  task.settle();
  return 'done';
}

/**
 * Asks something of a task that is dead, or is gone in the middle of a report.
 *
 * @throws {ErrnoError} ESRCH for all but DETACH, EALREADY for that once death is being reported
 */
export function controlDead(engine: Engine, action: number): Progress {
  const { task } = engine;
  if (action !== Action.DETACH) throw new ErrnoError('ESRCH', `Cannot control task ${task.tid}: it is dead`);
  if (task.deathStage !== 'alive')
    throw new ErrnoError('EALREADY', `Cannot detach from task ${task.tid}: its death is being reported`);
  engine.attachment = 'detached';
  return progressOf(engine);
}

function detach(engine: Engine, host: TaskHost): Progress {
  const { task } = engine;
  engine.attachment = 'detached';
  if (!task.isReporting) task.dropDetached();
  if (task.engines.length === 0 && !task.isStopped) {
    task.interrupt();
    host.leaving(task);
  }
  task.settle();
  return progressOf(engine);
}

function progressOf(engine: Engine): Progress {
  return engine.runningEvents.length > 0 ? 'EINPROGRESS' : 'done';
}
