/** What the tree needs from the system. The server makes one TreePorts; tests make one that needs no system. */

import type { Requester } from '@usertrace/user-events';
import type { InstancePorts } from '../instance-ports.ts';
import type { Caller } from '../node.ts';

export interface TreePorts extends InstancePorts {
  /** Who sent a request, as the domain wants to know it. */
  requester(caller: Caller): Requester;
  /** Makes sure of the tasks that are still there: for answers that depend on who has ended. */
  sweep(): void;
}
