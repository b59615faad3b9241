/**
 * A tracer to be killed: makes all threads of a process call the system, again and again, for ever.
 *
 *   node remote-caller.mjs PID
 *
 * Prints `begin` when it has made the first calls.
 */
import { Action, Event, openUtrace } from '@usertrace/utrace';

const GETPPID = 110;
const utrace = openUtrace();
const watch = utrace.attach(Number(process.argv[2]), {}, { events: Event.QUIESCE });
for (let round = 0; ; round++) {
  await watch.stop();
  for (const engine of watch.engines.values()) await engine.examine((look) => look.systemCall(GETPPID, []));
  watch.control(Action.RESUME);
  if (round === 3) console.log('begin');
}
