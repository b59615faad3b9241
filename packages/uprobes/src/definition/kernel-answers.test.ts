import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CORPUS_FILES, handWritten } from './corpus.sim.ts';
import { damaged } from './damaged-definitions.sim.ts';
import { type PathFinding, type ProbeDefinition } from './definition.ts';
import { DefinitionSet, definitionLine } from './definition-set.ts';
import { probeFormatText } from './event-format.ts';
import {
  askKernel,
  type CommandAnswer,
  kernelAnswers,
  makeCorpusFiles,
  type RecordedScenario,
} from './kernel.sim.ts';
import { DefinitionRefusal } from './refusal.ts';

const RECORDING = fileURLToPath(new URL('kernel-answers.jsonl', import.meta.url));

/** `USERTRACE_RECORD=1 npx vitest run packages/uprobes/src/definition/kernel-answers.test.ts` records anew. */
const isRecording = process.env['USERTRACE_RECORD'] === '1';

/** How many damaged definitions the recording holds, and from which seed. */
const RECORDED_DAMAGE = { seed: 1, count: 1000 };

/** The file system of the corpus, without its files. */
function lookInCorpus(path: string): PathFinding {
  const plain = path.replace('/../usertrace-corpus', '').replace(/^\/\//, '/');
  if ((CORPUS_FILES.regular as readonly string[]).includes(plain))
    return { kind: 'regular', identity: plain };
  if ([CORPUS_FILES.folder, '/', '/dev/null', ''].includes(plain)) return { kind: 'other' };
  const isBelowFile = CORPUS_FILES.regular.some((file) => plain.startsWith(`${file}/`));
  return { kind: 'missing', errno: isBelowFile ? 'ENOTDIR' : 'ENOENT' };
}

/** The system's file system. */
function lookOnDisk(path: string): PathFinding {
  try {
    const status = statSync(Buffer.from(path, 'latin1'));
    return status.isFile() ? { kind: 'regular', identity: `${status.dev}:${status.ino}` } : { kind: 'other' };
  } catch (error) {
    return {
      kind: 'missing',
      errno: (error as NodeJS.ErrnoException).code === 'ENOTDIR' ? 'ENOTDIR' : 'ENOENT',
    };
  }
}

/** What our reader answers to a scenario, in the recording's form. */
function ourAnswers(commands: readonly string[], look: (path: string) => PathFinding): RecordedScenario {
  const set = new DefinitionSet({
    look,
    isForeignEvent: (group, event) => group === 'sched' && event === 'sched_switch',
    isBusy: () => false,
    added: () => undefined,
    removed: () => undefined,
  });
  const answers = commands.map((command): CommandAnswer => {
    try {
      set.execute(command);
      return {};
    } catch (error) {
      if (!(error instanceof DefinitionRefusal)) throw error;
      // Node knows EOPNOTSUPP by its other name.
      const errno = error.code === 'EOPNOTSUPP' ? 'ENOTSUP' : error.code;
      return { errno, ...(error.log === undefined ? {} : { log: error.log }) };
    }
  });
  const byEvent = new Map<string, ProbeDefinition>();
  for (const definition of set.definitions) {
    const name = `${definition.group}/${definition.event}`;
    if (!byEvent.has(name)) byEvent.set(name, definition);
  }
  const formats = Object.fromEntries(
    [...byEvent].map(([name, definition]) => {
      const text = probeFormatText(definition, 0);
      return [name, text.slice(text.indexOf('\n\n') + 2)];
    }),
  );
  return {
    commands,
    answers,
    listing: set.definitions.map((definition) => definitionLine(definition)),
    formats,
  };
}

function recorded(): RecordedScenario[] {
  const text = readFileSync(RECORDING, 'utf8').trimEnd();
  return text.split('\n').map((line) => JSON.parse(line) as RecordedScenario);
}

function differences(expected: readonly RecordedScenario[], look: (path: string) => PathFinding): object[] {
  return expected.flatMap((kernels) => {
    const ours = ourAnswers(kernels.commands, look);
    return JSON.stringify(ours) === JSON.stringify(kernels) ? [] : [{ kernels, ours }];
  });
}

describe('the reader of definitions', () => {
  it.runIf(isRecording)(
    'is given a new recording',
    () => {
      makeCorpusFiles();
      const scenarios = [...handWritten(), ...damaged(RECORDED_DAMAGE.seed, RECORDED_DAMAGE.count)];
      writeFileSync(
        RECORDING,
        scenarios.map((commands) => `${JSON.stringify(askKernel(commands))}\n`).join(''),
      );
    },
    300_000,
  );

  it('answers every recorded definition as the kernel did: errno, error text, caret, listing and format', () => {
    expect(existsSync(RECORDING)).toBe(true);
    const scenarios = recorded();
    expect(scenarios.length).toBeGreaterThan(2000);
    expect(differences(scenarios, lookInCorpus).slice(0, 5)).toEqual([]);
  });

  it.skipIf(!kernelAnswers())(
    'answers definitions that nobody saw before as this machine’s kernel does',
    () => {
      makeCorpusFiles();
      const seed = Number(process.env['USERTRACE_SEED'] ?? Date.now() % 1_000_000);
      const runs = Math.min(20_000, Number(process.env['USERTRACE_RUNS'] ?? 500));
      const live = damaged(seed, runs).map((commands) => askKernel(commands));
      expect(differences(live, lookOnDisk).slice(0, 5), `USERTRACE_SEED=${seed}`).toEqual([]);
    },
    300_000,
  );
});
