/**
 * Takes out of the answers what no two systems share: times, ids, and the order of a hash table.
 *
 * The rules are those of tests/oracle/README.md; the recordings went through them already, so only the answers of
 * the server under test do.
 */
import { type Answer, parseOp, type Scenario } from './scenario.ts';

const TIMESTAMP = /^.*? \d+\.\d{6}: /;
const MULTI_FORMAT_ID = /^([^ ]+)\.([0-9a-f]+)(?= |$)/;
const STATUS_FILE = 'user_events_status';
const MULTI_FORMAT_FOLDER = 'events/user_events_multi';

function normaliseTrace(text: string): string {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(TIMESTAMP, ''))
    .join('\n');
}

/** Sorts the event lines before the first empty line; an event whose name is empty makes that line too. */
function sortStatus(text: string): string {
  const lines = text.split('\n');
  const end = lines.indexOf('');
  return [lines.slice(0, end).toSorted().join('\n'), ...lines.slice(end)].join('\n');
}

/** Gives every multi-format id of a scenario its rank: the lowest is @0. */
class IdRanks {
  readonly #ids: readonly number[];

  constructor(names: Iterable<string>) {
    const ids = new Set<number>();
    for (const name of names) {
      const id = MULTI_FORMAT_ID.exec(name)?.[2];
      if (id !== undefined) ids.add(Number.parseInt(id, 16));
    }
    this.#ids = [...ids].toSorted((a, b) => a - b);
  }

  replaceIn(name: string): string {
    if (this.#ids.length === 0) return name;
    return name.replace(MULTI_FORMAT_ID, (_, event: string, id: string) => {
      return `${event}.@${this.#ids.indexOf(Number.parseInt(id, 16))}`;
    });
  }
}

/** A plain event with a dot in its name cannot be told from a multi-format one: such scenarios have none. */
function hasPlainDottedEvent(scenario: Scenario): boolean {
  return scenario.steps.some(({ op }) => {
    const { name, rest } = parseOp(op);
    return name === 'reg' && /^(?:\S+ ){6}[^ ]*\.[0-9a-f]+(?: |$)/.test(rest);
  });
}

/**
 * The answers of one scenario, normalised.
 *
 * @param scenario what was run
 * @param answers one for each step; undefined where there is none
 */
export function normaliseAnswers(
  scenario: Scenario,
  answers: readonly (Answer | undefined)[],
): (Answer | undefined)[] {
  const ops = scenario.steps.map((step) => parseOp(step.op));
  const isStatus = (step: number): boolean => ops[step]?.name === 'cat' && ops[step].rest === STATUS_FILE;
  const isMultiFolder = (step: number): boolean =>
    ops[step]?.name === 'ls' && ops[step].rest === MULTI_FORMAT_FOLDER;

  const namesSeen = answers.flatMap((answer, step) => {
    if (isStatus(step)) return answer?.text?.split('\n') ?? [];
    return isMultiFolder(step) ? (answer?.names ?? []) : [];
  });
  const ranks = new IdRanks(hasPlainDottedEvent(scenario) ? [] : namesSeen);
  const ranked = (name: string): string => ranks.replaceIn(name);

  return answers.map((answer, step) => {
    if (answer?.names !== undefined && isMultiFolder(step)) {
      return { names: answer.names.map(ranked).toSorted() };
    }
    if (answer?.text === undefined) return answer;
    const file = ops[step]?.rest ?? '';
    if (file === 'trace') return { text: normaliseTrace(answer.text) };
    if (file.endsWith('/format')) return { text: answer.text.replace(/^ID: \d+$/m, 'ID: *') };
    return isStatus(step) ? { text: sortStatus(answer.text.split('\n').map(ranked).join('\n')) } : answer;
  });
}
