import { constants } from 'node:os';
import { expect, it } from 'vitest';
import { defaultAction, SIGNAL, signalName } from './signals.ts';

it('signals have the names that Node has for them', () => {
  const same = new Set(['SIGABRT', 'SIGIOT', 'SIGIO', 'SIGPOLL', 'SIGUNUSED']);
  for (const [name, number] of Object.entries(constants.signals))
    if (!same.has(name)) expect(signalName(number)).toBe(name);
  expect([signalName(35), signalName(0), signalName(65)]).toEqual(['SIGRT_3', '0', '65']);
});

it('signals that nobody handles do what signal(7) says', () => {
  const { CHLD, CONT, KILL, STOP, TRAP } = SIGNAL;
  expect([CHLD, CONT, KILL, STOP, TRAP, 11, 40].map((number) => defaultAction(number))).toEqual([
    'ignore',
    'continue',
    'terminate',
    'stop',
    'core',
    'core',
    'terminate',
  ]);
});
