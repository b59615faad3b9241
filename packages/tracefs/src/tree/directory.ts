/** A directory whose children are fixed when it is made. It holds them; whoever made it holds the directory. */

import type { DirectoryNode, TreeNode } from '../node.ts';

export class FixedDirectory implements DirectoryNode {
  readonly kind = 'directory';
  readonly mode: number;
  readonly #children: ReadonlyMap<string, TreeNode>;

  /**
   * @param mode permission bits
   * @param children by name, in the order they are listed
   */
  constructor(mode: number, children: Readonly<Record<string, TreeNode>>) {
    this.mode = mode;
    this.#children = new Map(Object.entries(children));
  }

  child(name: string): TreeNode | undefined {
    return this.#children.get(name);
  }

  *entries(): Iterable<{ readonly name: string; readonly kind: TreeNode['kind'] }> {
    for (const [name, { kind }] of this.#children) yield { name, kind };
  }
}
