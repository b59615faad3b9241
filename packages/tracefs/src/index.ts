export type {
  Caller,
  DirectoryNode,
  FileNode,
  OpenFile,
  OpenMode,
  Reply,
  TreeNode,
} from './node.ts';
export { type RunningServer, type ServerOptions, startServer } from './server.ts';
