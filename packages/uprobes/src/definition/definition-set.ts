/**
 * The DefinitionSet holds the definitions in force, as `uprobe_events` lists and changes them. Several definitions
 * with one name are one event that several places feed, and so their arguments must be alike. A definition belongs
 * to the set from the command that makes it to the one that removes it.
 */

import { splitWords } from '@usertrace/abi';
import { type DefinitionPort, parseDefinition, type ProbeDefinition } from './definition.ts';
import type { RefusalName } from './error-texts.ts';
import { CommandWords, DefinitionRefusal } from './refusal.ts';

/** What happens to the set; the probes are put and taken away by whoever hears of it. */
export interface DefinitionSetPort extends DefinitionPort {
  /** Whether an event of that name exists that is none of ours. */
  isForeignEvent(group: string, event: string): boolean;
  /** Whether a definition is in use, so that it must stay. */
  isBusy(definition: ProbeDefinition): boolean;
  added(definition: ProbeDefinition): void;
  removed(definition: ProbeDefinition): void;
}

export class DefinitionSet {
  readonly #port: DefinitionSetPort;
  #definitions: ProbeDefinition[] = [];

  constructor(port: DefinitionSetPort) {
    this.#port = port;
  }

  /** In the order in which they were made. */
  get definitions(): readonly ProbeDefinition[] {
    return this.#definitions;
  }

  /** What `uprobe_events` says. */
  get listing(): string {
    return this.#definitions.map((definition) => `${definitionLine(definition)}\n`).join('');
  }

  /**
   * Does what one line says. What stands behind `#` is a comment.
   *
   * @param line the line, one character a byte
   * @throws {DefinitionRefusal} as the kernel answers it; then nothing has changed
   */
  execute(line: string): void {
    const comment = line.indexOf('#');
    const command = comment < 0 ? line : line.slice(0, comment);
    if (command.startsWith('-')) this.#remove(command);
    else this.#add(command);
  }

  /** Removes all, as opening the file for writing without appending does. */
  clear(): void {
    if (this.#definitions.some((definition) => this.#port.isBusy(definition)))
      throw new DefinitionRefusal('EBUSY');
    this.#drop(this.#definitions);
  }

  #add(command: string): void {
    const definition = parseDefinition(command, this.#port);
    if (definition === undefined) return;
    const words = new CommandWords(splitWords(command));
    this.#checkCounter(definition);
    const ofEvent = this.#definitions.filter(
      ({ group, event }) => group === definition.group && event === definition.event,
    );
    const conflict = ofEvent[0] === undefined ? undefined : conflictWith(ofEvent[0], definition);
    if (conflict !== undefined) words.refuse(conflict.word, 0, conflict.rule);
    if (ofEvent.some((other) => isSamePlace(other, definition) && haveEqualExpressions(other, definition))) {
      words.refuse(0, 0, 'sameProbe');
    }
    if (ofEvent.length === 0 && this.#port.isForeignEvent(definition.group, definition.event)) {
      words.refuse(0, 0, 'eventExists');
    }
    this.#definitions.push(definition);
    this.#port.added(definition);
  }

  /** One place has one counter, whoever probes it. */
  #checkCounter(definition: ProbeDefinition): void {
    const { counterOffset } = definition;
    const differs = this.#definitions.some(
      (other) => isSamePlace(other, definition) && other.counterOffset !== counterOffset,
    );
    if (differs) throw new DefinitionRefusal('EINVAL');
  }

  #remove(command: string): void {
    const [start = '', ...wanted] = splitWords(command);
    const name = start.slice(2);
    if (start[1] !== ':' || name === '') throw new DefinitionRefusal('EINVAL');
    const slash = name.indexOf('/');
    const group = slash < 0 ? undefined : name.slice(0, slash);
    const event = name.slice(slash + 1);
    const leaving = this.#definitions.filter(
      (definition) =>
        (event === '' || event === definition.event) &&
        (group === undefined || group === definition.group) &&
        matchesHead(definition, wanted),
    );
    if (leaving.length === 0) throw new DefinitionRefusal('ENOENT');
    if (leaving.some((definition) => this.#port.isBusy(definition))) throw new DefinitionRefusal('EBUSY');
    this.#drop(leaving);
  }

  #drop(leaving: readonly ProbeDefinition[]): void {
    this.#definitions = this.#definitions.filter((definition) => !leaving.includes(definition));
    for (const definition of leaving) this.#port.removed(definition);
  }
}

/** A definition as `uprobe_events` lists it. */
export function definitionLine(definition: ProbeDefinition): string {
  const letter = definition.kind === 'return' ? 'r' : 'p';
  const words = [`${letter}:${definition.group}/${definition.event}`, ...bodyWords(definition)];
  return words.join(' ');
}

function bodyWords({ path, offset, counterOffset, arguments: fetched }: ProbeDefinition): string[] {
  const counter = counterOffset === 0n ? '' : `(0x${counterOffset.toString(16)})`;
  const place = `${path}:0x${offset.toString(16).padStart(16, '0')}${counter}`;
  return [place, ...fetched.map(({ name, expression }) => `${name}=${expression}`)];
}

/** Whether the words behind a removal's name are the first of the definition's own. */
function matchesHead(definition: ProbeDefinition, wanted: readonly string[]): boolean {
  const body = bodyWords(definition);
  return wanted.length <= body.length && wanted.every((word, index) => word === body[index]);
}

function isSamePlace(one: ProbeDefinition, other: ProbeDefinition): boolean {
  return one.fileIdentity === other.fileIdentity && one.offset === other.offset;
}

function haveEqualExpressions(one: ProbeDefinition, other: ProbeDefinition): boolean {
  return one.arguments.every(({ expression }, index) => expression === other.arguments[index]?.expression);
}

/** Why a definition cannot feed the event that another made, and which word is to blame. */
function conflictWith(
  first: ProbeDefinition,
  other: ProbeDefinition,
): { word: number; rule: RefusalName } | undefined {
  if (first.kind !== other.kind) return { word: 0, rule: 'differentKind' };
  const [counted, found] = [other.arguments.length, first.arguments.length];
  if (counted !== found) return { word: Math.min(counted, found) + 2, rule: 'differentArgument' };
  const different = other.arguments.findIndex(({ name, type }, index) => {
    const declared = first.arguments[index];
    return (
      declared?.name !== name || declared.type.basic !== type.basic || declared.type.count !== type.count
    );
  });
  return different < 0 ? undefined : { word: different + 2, rule: 'differentArgument' };
}
