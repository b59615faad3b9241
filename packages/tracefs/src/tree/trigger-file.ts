/**
 * The `trigger` file of an event:
 *
 *     traceon[:COUNT] [if FILTER]      enable_event:SYSTEM:EVENT[:COUNT] [if FILTER]      !TRIGGER
 *     traceoff[:COUNT] [if FILTER]     disable_event:SYSTEM:EVENT[:COUNT] [if FILTER]
 */

import { EventFilter } from '@usertrace/abi';
import type { ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { TriggerAction } from '../instance-triggers.ts';
import { filterFieldsOf, type TracedEvent } from '../traced-event.ts';
import { type ControlFileRules, FILE_MODE, taking } from './control-file.ts';
import type { EventCatalog } from './event-catalog.ts';
import { logFilterRefusal, RULE_BYTES } from './filter-files.ts';
import { stripSpaces } from './written-text.ts';

const AVAILABLE_TEXT = '# Available triggers:\n# traceon traceoff enable_event disable_event\n';
/** Taking away what can never be there is no mistake: tools do it for every event. */
const NO_STACK_TRACE = '!stacktrace';
/** Numbers as strtoul(3) reads them, with a base of their own. */
const COUNT = /^(?:0x[0-9a-f]{1,16}|[0-9]{1,20})$/i;

/** What a command says, before anybody has looked whether it makes sense. */
interface TriggerCommand {
  readonly isRemoval: boolean;
  readonly name: string;
  readonly parameters: readonly string[];
  readonly filter: string | undefined;
}

/** Makes it. The catalog tells of the events that there are. */
export function triggerRules(
  instance: TraceInstance,
  catalog: EventCatalog,
  event: TracedEvent,
): ControlFileRules {
  return {
    mode: FILE_MODE.readWrite,
    read: () => instance.triggers.lines(event).join('') || AVAILABLE_TEXT,
    write: taking((written) => {
      if (written.length >= RULE_BYTES) return 'EINVAL';
      if (!catalog.has(event)) return 'ENODEV';
      const text = stripSpaces(written);
      if (text === NO_STACK_TRACE) return undefined;
      const command = commandIn(text);
      const action = command === undefined ? undefined : actionOf(command, catalog);
      if (command === undefined || action === undefined) {
        const what = 'this is no trigger that usertrace knows, or of no event that there is';
        if (text !== '') instance.errors.add('event trigger', what, text, 0);
        return 'EINVAL';
      }
      if (!command.isRemoval) return add(instance, event, action, command);
      instance.triggers.remove(event, action.target);
      return undefined;
    }),
  };
}

function commandIn(text: string): TriggerCommand | undefined {
  const {
    removal,
    words = '',
    filter,
  } = /^(?<removal>!?)(?<words>\S+)(?:\s+if\s+(?<filter>\S.*))?$/s.exec(text)?.groups ?? {};
  const [name, ...parameters] = words.split(':');
  if (removal === undefined || name === undefined) return undefined;
  return { isRemoval: removal !== '', name, parameters, filter };
}

/** What is to be switched; undefined when there is no such thing. */
function actionOf({ name, parameters }: TriggerCommand, catalog: EventCatalog): TriggerAction | undefined {
  switch (name) {
    case 'traceon':
    case 'traceoff':
      return { target: 'tracing', isOn: name === 'traceon' };
    case 'enable_event':
    case 'disable_event': {
      const [system = '', event = ''] = parameters;
      const target = catalog.inSystem(system)?.get(event);
      return target === undefined ? undefined : { target, isOn: name === 'enable_event' };
    }
    default:
      return undefined;
  }
}

function add(
  instance: TraceInstance,
  event: TracedEvent,
  action: TriggerAction,
  { parameters, filter }: TriggerCommand,
): ErrnoName | undefined {
  const written = parameters[action.target === 'tracing' ? 0 : 2] ?? '';
  const count = written === '' ? undefined : countIn(written);
  if (count === 'EINVAL') return count;
  try {
    const parsed =
      filter === undefined ? undefined : EventFilter.parse(filter, filterFieldsOf(event), instance.cpuCount);
    return instance.triggers.add(event, { ...action, count, filter: parsed });
  } catch (error) {
    return logFilterRefusal(instance, error);
  }
}

function countIn(written: string): bigint | 'EINVAL' {
  if (!COUNT.test(written)) return 'EINVAL';
  const isOctal = /^0[0-7]+$/.test(written);
  if (/^0\d/.test(written) && !isOctal) return 'EINVAL';
  const count = BigInt(isOctal ? `0o${written.slice(1)}` : written);
  return count === BigInt.asUintN(64, count) ? count : 'EINVAL';
}
