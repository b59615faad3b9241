/** The format of a probe's event: where a record holds what, as `events/GROUP/EVENT/format` tells it. */

import { COMMON_FIELDS_FORMAT, COMMON_FIELDS_SIZE } from '@usertrace/abi';
import type { ProbeDefinition } from './definition.ts';
import type { FetchArgument } from './fetch-argument.ts';
import { recordSize, type ValueType } from './value-type.ts';

/** The fields that a probe's records begin with: addresses of 8 bytes. */
const ADDRESS_FIELDS: Readonly<Record<ProbeDefinition['kind'], { names: readonly string[]; print: string }>> =
  {
    entry: { names: ['__probe_ip'], print: '(%lx)' },
    return: { names: ['__probe_func', '__probe_ret_ip'], print: '(%lx <- %lx)' },
  };

/** Where a record of the event holds an argument. Fields are packed: none is aligned. */
export interface ArgumentPlace {
  readonly argument: FetchArgument;
  /** From the record's common fields on. */
  readonly offset: number;
  readonly size: number;
}

/** The layout of a definition's records. */
export interface EventLayout {
  readonly places: readonly ArgumentPlace[];
  /** Bytes before the texts, which come behind. */
  readonly fixedSize: number;
}

/** Where the records of a definition hold its arguments. */
export function eventLayout({ kind, arguments: fetched }: ProbeDefinition): EventLayout {
  let offset = COMMON_FIELDS_SIZE + 8 * ADDRESS_FIELDS[kind].names.length;
  const places = fetched.map((argument): ArgumentPlace => {
    const size = recordSize(argument.type);
    const place = { argument, offset, size };
    offset += size;
    return place;
  });
  return { places, fixedSize: offset };
}

/**
 * The format file of a definition's event.
 *
 * @param definition any of the event's
 * @param id the number that its records carry as common_type
 */
export function probeFormatText(definition: ProbeDefinition, id: number): string {
  const fields = probeFieldLines(definition);
  const print = probePrintFormat(definition);
  return `name: ${definition.event}\nID: ${id}\nformat:\n${COMMON_FIELDS_FORMAT}\n${fields}\nprint fmt: ${print}\n`;
}

function probeFieldLines(definition: ProbeDefinition): string {
  const addresses = ADDRESS_FIELDS[definition.kind].names.map((name, index) =>
    fieldLine(`unsigned long ${name}`, COMMON_FIELDS_SIZE + 8 * index, 8, false),
  );
  const { places } = eventLayout(definition);
  const fields = places.map(({ argument: { name, type }, offset, size }) =>
    fieldLine(declaration(name, type), offset, size, type.basic.isSigned),
  );
  return [...addresses, ...fields].join('');
}

function fieldLine(declared: string, offset: number, size: number, isSigned: boolean): string {
  return `\tfield:${declared};\toffset:${offset};\tsize:${size};\tsigned:${Number(isSigned)};\n`;
}

/** As the kernel writes it, which C would not take: an array's length stands with texts only. */
function declaration(name: string, { basic, count }: ValueType): string {
  if (count === undefined) return `${basic.declared} ${name}`;
  return basic.isText ? `${basic.declared}[${count}] ${name}` : `${basic.declared} ${name}[]`;
}

function probePrintFormat({ kind, arguments: fetched }: ProbeDefinition): string {
  const { names, print } = ADDRESS_FIELDS[kind];
  const conversions = fetched.map(({ name, type: { basic, count } }) => {
    const items = Array.from({ length: count ?? 1 }, () => basic.conversion).join(',');
    return ` ${name}=${count === undefined ? items : `{${items}}`}`;
  });
  const values = [...names.map((name) => `REC->${name}`), ...fetched.flatMap(printedValues)];
  return `"${print}${conversions.join('')}", ${values.join(', ')}`;
}

function printedValues({ name, type: { basic, count } }: FetchArgument): string[] {
  const items =
    count === undefined ? [name] : Array.from({ length: count }, (_, index) => `${name}[${index}]`);
  return items.map((item) => (basic.isText ? `__get_str(${item})` : `REC->${item}`));
}
