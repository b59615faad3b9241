export { isProcessRunning, startTicksOf } from './process-start.ts';
export { isByteLocked, tryLockByte, unlockByte } from './range-lock.ts';
export {
  findRuntimeFolders,
  makeRuntimeFolder,
  parseProviderFileName,
  providerFileName,
  type ProviderFileName,
  RUNTIME_FOLDER_VARIABLE,
  type RuntimeFolder,
  runtimeFolderCandidates,
  type RuntimeSurroundings,
} from './runtime-folder.ts';
export { mapShared, type SharedMapping, unmapShared } from './shared-mapping.ts';
