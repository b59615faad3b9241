import { EventFilter, FilterRefusal } from '@usertrace/abi';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseDefinition } from '../definition/definition.ts';
import { filterFields } from './filter-field.ts';
import {
  askAboutFilters,
  canAskAboutFilters,
  damagedFilters,
  type FilterAnswer,
  FILTERED_ARGUMENTS,
  readAnswers,
  writeAnswers,
} from './kernel-filters.sim.ts';

const RECORDING = fileURLToPath(new URL('kernel-filters.jsonl', import.meta.url));
/** How many of the recorded filters are made, and from which seed; before them stand those that somebody thought of. */
const RECORDED_DAMAGE = { seed: 1, count: 1000 };

const definition = parseDefinition(`p:g/ev /bin/x:0 ${FILTERED_ARGUMENTS}`, {
  look: () => ({ kind: 'regular', identity: '' }),
});

function ourAnswer(filter: string): FilterAnswer {
  if (definition === undefined) throw new Error('no definition');
  try {
    const { text } = EventFilter.parse(filter, filterFields(definition), cpus().length) ?? { text: 'none' };
    return [filter, undefined, `${text}\n`];
  } catch (error) {
    if (!(error instanceof FilterRefusal)) throw error;
    return [filter, error.code, error.fileText];
  }
}

function differences(answers: readonly FilterAnswer[]): object[] {
  return answers.flatMap((kernels) => {
    const ours = ourAnswer(kernels[0]);
    return JSON.stringify(ours) === JSON.stringify(kernels) ? [] : [{ kernels, ours }];
  });
}

describe('the language of filters', () => {
  it.runIf(process.env['USERTRACE_RECORD'] === '1')('is given a new recording', () => {
    const handWritten = readAnswers(RECORDING).slice(0, -RECORDED_DAMAGE.count);
    const made = damagedFilters(RECORDED_DAMAGE.seed, RECORDED_DAMAGE.count);
    writeAnswers(RECORDING, askAboutFilters([...handWritten.map(([filter]) => filter), ...made]));
  });

  it('takes and refuses every recorded filter as the kernel did: errno, error text and caret', () => {
    const answers = readAnswers(RECORDING);
    expect(answers.length).toBeGreaterThan(1200);
    expect(differences(answers).slice(0, 5)).toEqual([]);
  });

  it.skipIf(!canAskAboutFilters())(
    'answers filters that nobody saw before as this machine’s kernel does',
    () => {
      const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 1_000_000);
      const runs = Math.min(20_000, Number(process.env['USERTRACE_RUNS'] ?? 500));
      const live = askAboutFilters(damagedFilters(seed, runs));
      expect(differences(live).slice(0, 5), `USERTRACE_SEED=${seed}`).toEqual([]);
    },
  );
});
