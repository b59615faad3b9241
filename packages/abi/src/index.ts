export * from './fuse/index.ts';
export * from './ring/index.ts';
export * from './user-events/index.ts';
