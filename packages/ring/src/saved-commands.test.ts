import { describe, expect, test } from 'vitest';
import { SavedCommands } from './saved-commands.ts';

describe('SavedCommands', () => {
  test('knows the idle task, what was recorded, and nothing else', () => {
    const saved = new SavedCommands(4);
    saved.record(0, 'swapper');
    saved.record(7, 'seven');
    expect([saved.commOf(0), saved.commOf(7), saved.commOf(8)]).toEqual(['<idle>', 'seven', '<...>']);
    expect([saved.has(0), saved.has(7)]).toEqual([false, true]);
    expect(saved.text()).toBe('7 seven\n');
  });

  test('takes a new name of a task for the same slot', () => {
    const saved = new SavedCommands(4);
    saved.record(7, 'seven');
    saved.record(8, 'eight');
    saved.record(7, 'sieben');
    expect(saved.text()).toBe('7 sieben\n8 eight\n');
  });

  test('replaces in turn when all slots are taken', () => {
    const saved = new SavedCommands(3);
    for (const pid of [1, 2, 3, 4]) saved.record(pid, `task ${pid}`);
    // The kernel fills slot 0 last, so the third task is printed first.
    expect(saved.text()).toBe('3 task 3\n4 task 4\n2 task 2\n');
    expect(saved.commOf(1)).toBe('<...>');
  });
});
