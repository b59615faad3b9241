import { it } from 'vitest';
import { Scene, play } from './tracker.test.ts';
const H = JSON.parse(process.env.HIST!);
const M = process.env.WHICH_MODE!;
function trace(scene: any) {
  const w = scene.world;
  for (const n of ['drain', 'look', 'newestTid', 'processes', 'threads']) {
    const f = w[n].bind(w);
    w[n] = (...a: any[]) => {
      const r = f(...a);
      console.log(n, JSON.stringify(a), JSON.stringify(r));
      return r;
    };
  }
  for (const n of ['taskForked', 'taskExeced', 'taskExited']) {
    const s = scene.sink;
    const f = s[n].bind(s);
    s[n] = (...a: any[]) => {
      console.log('   SINK', n, JSON.stringify(a));
      return f(...a);
    };
  }
  for (const n of ['fork', 'exit', 'exec', 'thread']) {
    const f = w[n].bind(w);
    w[n] = (t: any, ...a: any[]) => {
      const r = f(t, ...a);
      console.log('   WORLD', n, t?.tid, t?.pid, '->', r?.tid);
      return r;
    };
  }
}

it('X', () => {
  const s = new Scene(M !== 'scan', M === 'exact');
  if (M === 'scan1') {
    s.world.start();
    s.register(s.world.tasks.get(2 as any)!);
  }
  trace(s);
  try {
    play(s, H, M === 'lossy');
    s.check(M !== 'exact');
  } catch (e) {
    console.log(String(e));
  }
});
