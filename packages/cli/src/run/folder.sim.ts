/** A folder of a tree that a test makes. */
import type { DirectoryNode, TreeNode } from '@usertrace/tracefs';

export function folder(children: Record<string, TreeNode>): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o755,
    child: (name) => children[name],
    entries: () => Object.entries(children).map(([name, { kind }]) => ({ name, kind })),
  };
}
