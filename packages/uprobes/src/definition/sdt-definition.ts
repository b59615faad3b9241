/**
 * Turns a static probe site (`.note.stapsdt`) into the words of a definition, so that `sdt:PROVIDER:NAME` is put
 * like any other probe. What a fetch argument cannot hold is left out and told.
 */

import {
  type ElfFile,
  fileOffsetOf,
  parseSdtArguments,
  type SdtArgument,
  type SdtSite,
} from '@usertrace/abi';
import type { RegisterName } from './fetch-argument.ts';

/** A definition for a site, and the numbers of its arguments that could not be taken over. */
export interface SdtDefinition {
  readonly command: string;
  /** From 1. */
  readonly omitted: readonly number[];
}

const LEGACY = /^[er]?(?<name>[abcd]x|[sd]i|[bs]p)$/;
const LOW_BYTE = /^(?:(?<letter>[abcd])l|(?<pointer>si|di|bp|sp)l)$/;
const NUMBERED = /^(?<name>r(?:[89]|1[0-5]))[bwd]?$/;

/** The definition's name of a register that assembler calls so; `%ah` and vector registers have none. */
function registerName(assembler: string): RegisterName | undefined {
  const legacy = LEGACY.exec(assembler)?.groups?.['name'];
  const low = LOW_BYTE.exec(assembler)?.groups;
  const name =
    legacy ??
    NUMBERED.exec(assembler)?.groups?.['name'] ??
    (low?.['letter'] === undefined ? low?.['pointer'] : `${low['letter']}x`);
  return name as RegisterName | undefined;
}

/**
 * The words that put a probe on a site.
 *
 * @param site the site
 * @param path the file, as the definition is to name it
 * @param file the file's tables
 * @returns undefined if the site is not in the part of the file that is loaded
 */
export function sdtDefinition(site: SdtSite, path: string, file: ElfFile): SdtDefinition | undefined {
  const offset = fileOffsetOf(file, site.address);
  if (offset === undefined) return undefined;
  const counter = site.counter === 0n ? undefined : fileOffsetOf(file, site.counter);
  // A counter that is not in the file cannot be raised: then the site never calls.
  if (site.counter !== 0n && counter === undefined) return undefined;
  const expressions = parseSdtArguments(site.arguments).map(
    (argument) => argument && fetchExpression(argument),
  );
  const kept = expressions.flatMap((expression, index) =>
    expression === undefined ? [] : [`arg${index + 1}=${expression}`],
  );
  const omitted = expressions.flatMap((expression, index) => (expression === undefined ? [index + 1] : []));
  const place = `${path}:0x${offset.toString(16)}${counter === undefined ? '' : `(0x${counter.toString(16)})`}`;
  const name = `p:sdt_${identifier(site.provider)}/${identifier(site.name)}`;
  return { command: [name, place, ...kept].join(' '), omitted };
}

function identifier(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

function fetchExpression({ operand, size, isSigned, isFloat }: SdtArgument): string | undefined {
  if (isFloat) return undefined;
  const type = `${isSigned ? 's' : 'u'}${size * 8}`;
  if (operand.kind === 'constant') return `\\${operand.value}:${type}`;
  if (operand.kind === 'register') {
    const register = registerName(operand.register);
    return register === undefined ? undefined : `%${register}:${type}`;
  }
  const base = operand.base === undefined ? undefined : registerName(operand.base);
  if (base === undefined || operand.index !== undefined) return undefined;
  const sign = operand.displacement < 0n ? '-' : '+';
  const distance = operand.displacement < 0n ? -operand.displacement : operand.displacement;
  return `${sign}${distance}(%${base}):${type}`;
}
