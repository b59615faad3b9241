/** `instances`: mkdir(2) there makes a trace instance, rmdir(2) removes one (Documentation/trace/ftrace.rst). */

import type { ErrnoName } from '@usertrace/base';
import type { TraceInstance } from '../instance.ts';
import type { InstanceSet } from '../instance-set.ts';
import type { DirectoryNode, TreeNode } from '../node.ts';
import type { EventCatalog } from './event-catalog.ts';
import { DIRECTORY_MODE } from './instance-directory.ts';

export class InstancesDirectory implements DirectoryNode {
  readonly kind = 'directory';
  readonly mode: number = DIRECTORY_MODE;
  readonly #instances: InstanceSet;
  readonly #catalog: EventCatalog;
  readonly #makeNode: (instance: TraceInstance) => DirectoryNode;
  readonly #nodes = new Map<TraceInstance, DirectoryNode>();

  /** @param makeNode makes the directory of an instance */
  constructor(
    instances: InstanceSet,
    catalog: EventCatalog,
    makeNode: (instance: TraceInstance) => DirectoryNode,
  ) {
    this.#instances = instances;
    this.#catalog = catalog;
    this.#makeNode = makeNode;
  }

  child(name: string): TreeNode | undefined {
    const instance = this.#instances.named(name);
    return instance === undefined ? undefined : this.#nodes.get(instance);
  }

  *entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }> {
    for (const name of this.#instances.names()) yield { name, kind: 'directory' };
  }

  makeDirectory(name: string): 'made' | ErrnoName {
    const outcome = this.#instances.make(name, this.#catalog.sequenceToCome);
    const instance = this.#instances.named(name);
    if (outcome === 'made' && instance !== undefined) this.#nodes.set(instance, this.#makeNode(instance));
    return outcome;
  }

  removeDirectory(name: string): 'removed' | ErrnoName {
    const instance = this.#instances.named(name);
    const outcome = this.#instances.remove(name);
    if (outcome === 'removed' && instance !== undefined) this.#nodes.delete(instance);
    return outcome;
  }
}
