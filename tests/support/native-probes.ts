/** Probes in C programs, and whether a program's code is as it was. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { addressOf, ElfFile } from '@usertrace/abi';
import { fileIdentity, FileSymbols, parseDefinition, type ProbeDefinition } from '@usertrace/uprobes';

/**
 * A definition such as `r:g/e PATH:function a=%di`.
 *
 * @throws {Error} when it is refused
 */
export function definitionOf(text: string): ProbeDefinition {
  const reader = { read: (file: string) => readFileSync(file) };
  const definition = parseDefinition(text, {
    look: (file) => ({ kind: 'regular', identity: fileIdentity(file) }),
    functionOffset: (file, name) => FileSymbols.open(file, reader)?.functionOffset(name),
  });
  if (definition === undefined) throw new Error(`Cannot make a probe of "${text}"`);
  return definition;
}

/**
 * What is in a process's memory.
 *
 * @throws {Error} when it is not there or may not be read
 */
export function readMemory(pid: number, address: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  const descriptor = openSync(`/proc/${pid}/mem`, 'r');
  try {
    if (readSync(descriptor, bytes, 0, size, address) !== size) throw new Error(`Cannot read ${size} bytes`);
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

/** Whether the code of a program that is always at the same address (`-static`, `-no-pie`) is in memory what it is in its file. */
export function isCodeUnchanged(program: string, pid: number): boolean {
  const file = new ElfFile(readFileSync(program));
  const text = file.section('.text');
  if (text === undefined) throw new Error(`Cannot find the code of ${program}`);
  const inMemory = readMemory(pid, Number(addressOf(file, BigInt(text.offset))), text.size);
  return inMemory.equals(Buffer.from(file.content(text).raw()));
}
