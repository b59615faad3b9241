/**
 * Static probe sites (SystemTap's `sys/sdt.h`): notes that say where a program calls a probe, which counter tells it
 * that somebody listens, and where the arguments are. Format: the systemtap wiki's "UserSpaceProbeImplementation".
 */

import type { ElfFile } from './elf-file.ts';
import { readNotes } from './notes.ts';

const NOTE_TYPE = 3;

export interface SdtSite {
  readonly provider: string;
  readonly name: string;
  /** As the file counts addresses, moved with the file if it was changed after the notes were written. */
  readonly address: bigint;
  /** The address of the 16-bit counter of listeners; 0 if there is none. */
  readonly counter: bigint;
  /** As the compiler wrote them, in assembler's words: `-4@%edi 8@-16(%rbp)`. */
  readonly arguments: string;
}

/**
 * The probe sites of a file.
 *
 * @throws {ElfError} if its notes lie outside of the file
 */
export function sdtSites(file: ElfFile): SdtSite[] {
  const section = file.section('.note.stapsdt');
  if (section === undefined) return [];
  // Tools that move a file's addresses do not know these notes; the base section moves along and shows by how much.
  const base = file.section('.stapsdt.base')?.address;
  return readNotes(file.content(section))
    .filter(({ owner, type }) => owner === 'stapsdt' && type === NOTE_TYPE)
    .map(({ description }) => {
      const noted = { address: description.u64(0), base: description.u64(8), counter: description.u64(16) };
      const moved = base === undefined ? 0n : base - noted.base;
      const provider = description.text(24);
      const name = description.text(24 + provider.length + 1);
      const text = description.text(24 + provider.length + name.length + 2);
      const counter = noted.counter === 0n ? 0n : BigInt.asUintN(64, noted.counter + moved);
      return { provider, name, address: BigInt.asUintN(64, noted.address + moved), counter, arguments: text };
    });
}

/** Where an argument is. */
export type SdtOperand =
  | { readonly kind: 'constant'; readonly value: bigint }
  | { readonly kind: 'register'; readonly register: string }
  | {
      readonly kind: 'memory';
      readonly base: string | undefined;
      readonly index: string | undefined;
      readonly scale: number;
      readonly displacement: bigint;
    };

export interface SdtArgument {
  /** In bytes. */
  readonly size: 1 | 2 | 4 | 8;
  readonly isSigned: boolean;
  /** A floating-point number, which no fetch argument can hold. */
  readonly isFloat: boolean;
  readonly operand: SdtOperand;
}

const NUMBER = '[+-]?(?:0x[0-9a-f]+|[0-9]+)';
const ARGUMENT = /^(?:(?<size>-?[1248])(?<float>f)?@)?(?<operand>\S+)$/;
const CONSTANT = new RegExp(`^\\$(?<value>${NUMBER})$`, 'i');
const REGISTER = /^%(?<register>[a-z0-9]+)$/;
const MEMORY = new RegExp(
  `^(?<displacement>${NUMBER})?\\((?:%(?<base>[a-z0-9]+))?(?:,%(?<index>[a-z0-9]+)(?:,(?<scale>[1248]))?)?\\)$`,
  'i',
);

/**
 * Reads a site's arguments.
 *
 * @param text as the note has it
 * @returns one for each argument; undefined for one in a form that is not known
 */
export function parseSdtArguments(text: string): (SdtArgument | undefined)[] {
  // A blank may stand within parentheses.
  return [...text.matchAll(/(?:[^\s(]|\([^)]*\))+/g)].map(([word]) =>
    parseArgument(word.replaceAll(/\s/g, '')),
  );
}

function parseArgument(word: string): SdtArgument | undefined {
  const { size = '-8', float, operand: operandText = '' } = ARGUMENT.exec(word)?.groups ?? {};
  const operand = parseOperand(operandText);
  if (operand === undefined) return undefined;
  const bytes = Math.abs(Number(size)) as SdtArgument['size'];
  return { size: bytes, isSigned: size.startsWith('-'), isFloat: float !== undefined, operand };
}

function parseOperand(text: string): SdtOperand | undefined {
  const constant = CONSTANT.exec(text)?.groups?.['value'];
  if (constant !== undefined) return { kind: 'constant', value: signedNumber(constant) };
  const register = REGISTER.exec(text)?.groups?.['register'];
  if (register !== undefined) return { kind: 'register', register };
  const memory = MEMORY.exec(text)?.groups;
  if (memory === undefined) return undefined;
  const { displacement = '0', base, index, scale = '1' } = memory;
  return { kind: 'memory', base, index, scale: Number(scale), displacement: signedNumber(displacement) };
}

function signedNumber(text: string): bigint {
  const magnitude = BigInt(text.replace(/^[+-]/, ''));
  return text.startsWith('-') ? -magnitude : magnitude;
}
