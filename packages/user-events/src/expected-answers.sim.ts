/** What requests about names must answer, from the events that exist and what refers to them. */

import type { ErrnoName } from '@usertrace/base';
import type { UserEvent } from './index.ts';

/** The command that makes an event. */
export function commandOf({ registeredName, fieldsText }: UserEvent): string {
  return fieldsText === '' ? registeredName : `${registeredName} ${fieldsText}`;
}

/** The events of a simulated system, kept by its observers. */
export class ExistingEvents extends Set<UserEvent> {
  /** The event that REG finds. */
  matching(command: string, multiFormat: boolean): UserEvent | undefined {
    return [...this].find((event) => event.isMultiFormat === multiFormat && commandOf(event) === command);
  }

  /** What REG answers but for the bit. */
  refusal(command: string, lacksCapability: boolean, multiFormat: boolean): ErrnoName | undefined {
    if (lacksCapability) return 'EPERM';
    if (multiFormat || this.matching(command, false) !== undefined) return undefined;
    const [name] = command.split(' ');
    const isTaken = [...this].some((event) => !event.isMultiFormat && event.registeredName === name);
    return isTaken ? 'EADDRINUSE' : undefined;
  }

  /**
   * What the removal of an event answers.
   *
   * @param byCommand by its command (`-:NAME FIELDS`), or by its name alone (DEL)
   * @param references how many things refer to an event
   */
  deletion(
    event: UserEvent,
    byCommand: boolean,
    capable: boolean,
    references: (event: UserEvent) => number,
  ): 'ok' | ErrnoName {
    const named = [...this].filter(({ registeredName }) => registeredName === event.registeredName);
    const inOrder = byCommand
      ? named.filter((one) => commandOf(one) === commandOf(event))
      : named.toReversed();
    const isBusy = (one: UserEvent): boolean => !one.isPersistent || references(one) > 0;
    const stopsAt = inOrder.find((one) => isBusy(one) || !capable);
    if (stopsAt === undefined) return 'ok';
    return isBusy(stopsAt) ? 'EBUSY' : 'EPERM';
  }
}
