import { expect, test } from 'vitest';
import { inRepository } from '../support/repository.ts';
import { normaliseAnswers } from './normalise.ts';
import { type Answer, readScenarios, type Scenario } from './scenario.ts';

function normaliseOne(op: string, answer: Answer): Answer | undefined {
  return normaliseAnswers({ name: 'parse-1', steps: [{ op }] }, [answer])[0];
}

test('normaliseAnswers() drops the comments and everything up to the time of a trace', () => {
  const text = [
    '# tracer: nop',
    '#',
    '    uevdrive-812     [001] ..... 10382.123456: w: f0=1 f1=0x2 (2)',
    '    uevdrive-812     [001] ..... 10382.123457: w: f0=',
    'rest of a text 1.000000: of two lines',
    '',
  ].join('\n');
  expect(normaliseOne('a cat trace', { text })).toEqual({
    text: 'w: f0=1 f1=0x2 (2)\nw: f0=\nof two lines',
  });
});

test('normaliseAnswers() hides the id of a format file and sorts the status', () => {
  expect(
    normaliseOne('a cat events/user_events/ev/format', { text: 'name: ev\nID: 2001\nformat:\n' }),
  ).toEqual({
    text: 'name: ev\nID: *\nformat:\n',
  });
  expect(
    normaliseOne('a cat user_events_status', { text: 'b\na # Used by ftrace\n\nActive: 2\nBusy: 1\n' }),
  ).toEqual({
    text: 'a # Used by ftrace\nb\n\nActive: 2\nBusy: 1\n',
  });
  expect(normaliseOne('a cat user_events_status', { text: '\nActive: 0\nBusy: 0\n' })).toEqual({
    text: '\n\nActive: 0\nBusy: 0\n',
  });
});

test('normaliseAnswers() keeps the place of an event whose name is empty', () => {
  expect(normaliseOne('a cat user_events_status', { text: 'z\ny\n\nx\n\nActive: 4\nBusy: 0\n' })).toEqual({
    text: 'y\nz\n\nx\n\nActive: 4\nBusy: 0\n',
  });
});

test('normaliseAnswers() ranks multi-format ids over the whole scenario by their value', () => {
  const scenario: Scenario = {
    name: 'lifecycle-1',
    steps: [{ op: 'a cat user_events_status' }, { op: 'a ls events/user_events_multi' }],
  };
  const answers = [
    { text: 'y.a\ny\nx.9 # Used by ftrace\n\nActive: 3\nBusy: 1\n' },
    { names: ['enable', 'filter', 'x.9', 'y.10', 'y.a'] },
  ];
  expect(normaliseAnswers(scenario, answers)).toEqual([
    { text: 'x.@0 # Used by ftrace\ny\ny.@1\n\nActive: 3\nBusy: 1\n' },
    { names: ['enable', 'filter', 'x.@0', 'y.@1', 'y.@2'] },
  ]);
});

test('normaliseAnswers() leaves a plain event called ev.1 alone', () => {
  const scenario: Scenario = {
    name: 'parse-1',
    steps: [{ op: 'a reg 0 1 0 4 0 0 ev.1 u32 a' }, { op: 'a cat user_events_status' }],
  };
  const status = { text: 'ev.1\n\nActive: 1\nBusy: 0\n' };
  expect(normaliseAnswers(scenario, [{ ret: 0 }, status])).toEqual([{ ret: 0 }, status]);
});

test('normaliseAnswers() changes nothing in recorded traces, formats and folders', () => {
  for (const scenario of readScenarios(inRepository('tests', 'oracle', 'vectors.jsonl'))) {
    const recorded = scenario.steps.map((step) => step.answer);
    const again = normaliseAnswers(scenario, recorded).map((answer, step) =>
      scenario.steps[step]?.op.endsWith('cat user_events_status') ? recorded[step] : answer,
    );
    expect(again, scenario.name).toEqual(recorded);
  }
});
