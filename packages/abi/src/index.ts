export * from './elf/index.ts';
export * from './filter/index.ts';
export * from './fuse/index.ts';
export * from './provider/index.ts';
export * from './ptrace/index.ts';
export * from './ring/index.ts';
export * from './user-events/index.ts';
