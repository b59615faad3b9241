import { expect, test } from 'vitest';
import { compareAnswers, parseDriverOutput } from './compare.ts';
import type { AllowedDifference, Scenario } from './scenario.ts';

const SCENARIO: Scenario = {
  name: 'writes-1',
  steps: [
    { op: 'a open 0', answer: { ret: 0 } },
    { op: '- settle 30' },
    { op: 'a raw 0 ', answer: { ret: -1, errno: 'EFAULT' } },
    { op: 'a raw 0 01', answer: { ret: -1, errno: 'EFAULT' } },
  ],
};
const ALLOWED: AllowedDifference[] = [{ op: 'raw', arguments: /^\d+ *$/, reason: 'the VFS answers' }];

test('parseDriverOutput() puts answers at the lines of the script', () => {
  const output =
    '{"line":1,"op":"a open 0","answer":{"ret":0}}\n{"line":3,"op":"a raw 0 ","answer":{"ret":0}}\n{"li';
  expect(parseDriverOutput(output, 4)).toEqual([{ ret: 0 }, undefined, { ret: 0 }, undefined]);
});

test('compareAnswers() finds nothing when every answer is the same', () => {
  const answers = SCENARIO.steps.map((step) => step.answer);
  expect(compareAnswers(SCENARIO, answers, [])).toEqual([]);
});

test('compareAnswers() gives the reason of an allowed difference and of no other', () => {
  const answers = [{ ret: 0 }, undefined, { ret: 0 }, { ret: 1 }];
  expect(compareAnswers(SCENARIO, answers, ALLOWED)).toMatchObject([
    { step: 3, op: 'a raw 0 ', reason: 'the VFS answers' },
    { step: 4, op: 'a raw 0 01', expected: { ret: -1, errno: 'EFAULT' }, got: { ret: 1 } },
  ]);
  expect(compareAnswers(SCENARIO, answers, ALLOWED)[1]).not.toHaveProperty('reason');
});

test('compareAnswers() excuses no answer that never came', () => {
  expect(compareAnswers(SCENARIO, [{ ret: 0 }], ALLOWED)).toMatchObject([
    { step: 3, got: undefined },
    { step: 4, got: undefined },
  ]);
});
