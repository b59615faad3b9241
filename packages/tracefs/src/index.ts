export { REPLY_BUFFER_BYTES, REQUEST_BUFFER_BYTES, type SessionPort } from './fuse/exchange.ts';
export type { TreeOwner } from './fuse/node-requests.ts';
export { FuseSession } from './fuse/session.ts';
export type {
  Caller,
  DirectoryNode,
  FileNode,
  OpenFile,
  OpenMode,
  Reply,
  TreeNode,
} from './node.ts';
export type {
  ProbeEventIdentity,
  ProbeHit,
  ProbeRefusal,
  ProbesObserver,
  ProbesPort,
} from './probe-event.ts';
export { type RunningServer, type ServerOptions, startServer } from './server.ts';
