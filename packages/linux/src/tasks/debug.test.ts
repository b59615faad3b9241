import { it } from 'vitest';
import { Scene, play } from './tracker.test.ts';
const A = [
  ['start', 0, false],
  ['start', 0, false],
  ['register', 313, false],
  ['fork', 153, false],
  ['start', 0, false],
  ['start', 0, false],
  ['start', 0, false],
  ['start', 0, false],
  ['thread', 176, false],
  ['exit', 0, false],
  ['start', 0, false],
  ['start', 0, true],
  ['start', 0, false],
  ['fork', 17, true],
  ['start', 0, false],
  ['exit', 150, true],
  ['catchUp', 0, false],
];
const D = [
  ['start', 0, false],
  ['start', 0, false],
  ['start', 0, false],
  ['fork', 0, true],
  ['start', 0, true],
  ['sweep', 0, false],
  ['thread', 232, false],
  ['exit', 116, false],
];
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
it('A', () => {
  const s = new Scene(true, true);
  trace(s);
  play(s, A as any, false);
  try {
    s.check(false);
  } catch (e) {
    console.log(String(e));
  }
});
it('D', () => {
  const s = new Scene(false, false);
  s.world.start();
  s.register(s.world.tasks.get(2 as any)!);
  trace(s);
  play(s, D as any, false);
  try {
    s.check(false);
  } catch (e) {
    console.log(String(e));
  }
});
const C = [
  ['start', 0, false],
  ['start', 0, false],
  ['start', 0, false],
  ['register', 16, false],
  ['exec', 97, false],
  ['sweep', 0, false],
  ['thread', 0, true],
  ['exec', 0, false],
  ['exit', 0, false],
  ['register', 286, false],
  ['start', 0, false],
];
it('C', () => {
  const s = new Scene(false, false);
  trace(s);
  play(s, C as any, false);
  try {
    s.check(true);
  } catch (e) {
    console.log(String(e));
  }
});
const B = [
  ['start', 0, false],
  ['start', 0, false],
  ['vfork', 0, false],
  ['register', 0, false],
  ['start', 0, false],
  ['start', 0, true],
  ['fork', 430, false],
  ['overflow', 0, false],
  ['exec', 184, true],
  ['start', 0, false],
];
it('B', () => {
  const s = new Scene(true, true);
  trace(s);
  play(s, B as any, true);
  try {
    s.check(true);
  } catch (e) {
    console.log(String(e));
  }
});
