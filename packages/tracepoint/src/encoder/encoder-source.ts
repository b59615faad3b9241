/**
 * The source of encoders that are generated.
 *
 * What the fields' offsets make of it is one store for each word of the entry:
 *
 *     words[at + 1] = 1024             type, flags, preempt count
 *     words[at + 2] = tid
 *     words[at + 3] = a0               an aligned int
 *     words[at + 4] = (a1 & 255) | (a2 << 8)          a u8, and three bytes of an int behind it
 *     words[at + 5] = (a2 >>> 24)
 *
 * Text is packed four characters a store, all characters ORed together to find out whether one was not ASCII.
 */
import { SMALL_ENTRY_MAX } from '@usertrace/abi';
import { LANE_COMMIT_WORD, LANE_RECORD_WORDS_MAX } from '@usertrace/ring';
import type { EncoderIdentity } from './composed-encoder.ts';
import type { PlannedField, RecordPlan } from './record-plan.ts';

/** Longer text is written by Buffer.write, which knows how to copy many characters at a time. */
const PACKED_TEXT_MAX = 128;
/** Longer arrays of bytes are copied by TypedArray.set. */
const LOOPED_BYTES_MAX = 64;
const SMALL_ENTRY_WORDS = SMALL_ENTRY_MAX / 4;

/** Numbers a source that is made, so that V8, which keeps compiled code by its source, shares no types with another event's. */
let sourcesMade = 0;

/**
 * The source of a function's body that gives an event's encoder; its free variables are those of generateEncoder()'s scope.
 *
 * @param plan where everything lies
 * @param identity what every record says
 */
export function encoderSource(plan: RecordPlan, { eventId, tid }: EncoderIdentity): string {
  sourcesMade += 1;
  const parameters = plan.fields.map((_, index) => `a${index}`).join(', ');
  const texts = plan.fields.flatMap(({ storage }, index) => (storage === 'text' ? [index] : []));
  const fixedTexts = plan.fields.flatMap(({ storage }, index) => (storage === 'fixed-text' ? [index] : []));
  const hasText = texts.length + fixedTexts.length > 0;
  const end = plan.isVariable ? 'recordWords' : `${plan.bodyWords + headerWords(plan.bodyWords)}`;
  return `'use strict'; // encoder ${sourcesMade}
function compose(${parameters}) {
  clock64[0] = now();
  composeAtRead(${parameters});
}
function composeAtRead(${parameters}) {
${plan.fields.map((_, index) => `  values[${index}] = a${index};\n`).join('')}\
  composer.writeAtRead(writer, values);
  values.fill(undefined);
}
return function (${parameters}) {
${plan.fields.map(coercionSource).join('')}\
  const wanted = word[0];
  if ((wanted & -256) !== 0) aside(${parameters});
  if ((wanted & 255) === 0) return;
${plan.isVariable ? measureSource(plan, parameters) : fixedTextSource(plan, parameters)}\
  const lane = writer, words = laneWords;
  clock64[0] = now();
  let low = clock32[0];
  const high = clock32[1];
  let delta = (low - lane.low) | 0;
  let at = lane.at;
  if (delta < 0 || delta > 134217727 || high !== lane.high || at + ${end} > lane.limit) {
    at = lane.enter(${end}, low, high);
    if (at < 0) return;
    delta = 0;
    low = lane.low;
  }
${hasText ? '  let seen = 0;\n' : ''}\
${headerSource(plan)}\
  words[at + 1] = ${eventId};
  words[at + 2] = ${tid};
${plan.isVariable ? `  let place = ${plan.bodyWords * 4};\n` : ''}\
${plan.fields.map(valueSource).join('')}\
${bodySource(plan)}\
${hasText ? `  if (seen > 127) return composeAtRead(${parameters});\n` : ''}\
  at += ${plan.isVariable ? 'entryWords' : plan.bodyWords} + 1;
  lane.low = low;
  lane.at = at;
  lane.eventsInPage += 1;
  words[lane.page + ${LANE_COMMIT_WORD}] = (at - lane.page - 4) << 2;
};`;
}

function coercionSource({ storage }: PlannedField, index: number): string {
  const name = `a${index}`;
  switch (storage) {
    case 'integer':
      return `  ${name} = typeof ${name} === 'number' ? ${name} | 0 : integerOf(${name});\n`;
    case 'long':
      return `  if (typeof ${name} !== 'number') ${name} = longOf(${name});\n`;
    case 'double':
      return `  if (typeof ${name} !== 'number') ${name} = doubleOf(${name});\n`;
    case 'text':
    case 'fixed-text':
      return `  if (typeof ${name} !== 'string') ${name} = textOf(${name});\n`;
    default:
      return `  if (!isBytes(${name})) ${name} = bytesOf(${name});\n`;
  }
}

/** Lengths and the record's size, for entries of any length. */
function measureSource(plan: RecordPlan, parameters: string): string {
  const lines = ['  let entryWords = ', `${plan.bodyWords}`, ';\n'];
  plan.fields.forEach(({ storage, size }, index) => {
    if (storage === 'fixed-text')
      lines.push(`  if (a${index}.length > ${size}) return compose(${parameters});\n`);
    if (storage === 'text') {
      lines.push(`  const n${index} = a${index}.length;\n`);
      lines.push(`  if (n${index} > ${PACKED_TEXT_MAX}) return compose(${parameters});\n`);
      lines.push(`  entryWords += (n${index} >> 2) + 1;\n`);
    }
    if (storage === 'blob') {
      lines.push(`  const n${index} = lengthOf(a${index});\n`);
      lines.push(`  entryWords += (n${index} + 3) >> 2;\n`);
    }
  });
  lines.push(`  const recordWords = entryWords > ${SMALL_ENTRY_WORDS} ? entryWords + 2 : entryWords + 1;\n`);
  lines.push(`  if (recordWords > ${LANE_RECORD_WORDS_MAX}) return compose(${parameters});\n`);
  return lines.join('');
}

function fixedTextSource(plan: RecordPlan, parameters: string): string {
  return plan.fields
    .map(({ storage, size }, index) =>
      storage === 'fixed-text' ? `  if (a${index}.length > ${size}) return compose(${parameters});\n` : '',
    )
    .join('');
}

function headerWords(entryWords: number): number {
  return entryWords > SMALL_ENTRY_WORDS ? 2 : 1;
}

/** The header of an entry that has its length in a word of its own. */
function longHeaderSource(words: string): string {
  return `    words[at] = delta << 5;
    at += 1;
    words[at] = (${words} << 2) + 4;
`;
}

/** The record's header; `at` is the word before the entry afterwards. */
function headerSource({ isVariable, bodyWords }: RecordPlan): string {
  if (!isVariable) {
    return headerWords(bodyWords) === 1
      ? `  words[at] = ${bodyWords} | (delta << 5);\n`
      : `  {\n${longHeaderSource(`${bodyWords}`)}  }\n`;
  }
  return `  if (entryWords <= ${SMALL_ENTRY_WORDS}) words[at] = entryWords | (delta << 5);
  else {
${longHeaderSource('entryWords')}  }
`;
}

/** What a field needs before the entry's words are stored: `lN` and `hN` are what goes there. */
function valueSource({ storage, origin }: PlannedField, index: number): string {
  const [value, low, high] = [`a${index}`, `l${index}`, `h${index}`];
  switch (storage) {
    case 'long':
      return `  splitLong(${value});
  const ${low} = halves[0], ${high} = halves[1];
`;
    case 'double':
      return `  double[0] = ${value};
  const ${low} = halves[0], ${high} = halves[1];
`;
    case 'text':
      return `  const ${low} = (place - ${origin}) | ((n${index} + 1) << 16);
  {
    let to = at + 1 + (place >> 2), from = 0;
    for (; from < n${index} - 3; from += 4) {
      const p = ${value}.charCodeAt(from), q = ${value}.charCodeAt(from + 1);
      const r = ${value}.charCodeAt(from + 2), s = ${value}.charCodeAt(from + 3);
      seen |= p | q | r | s;
      words[to] = p | (q << 8) | (r << 16) | (s << 24);
      to += 1;
    }
    let rest = 0;
    for (let shift = 0; from < n${index}; from += 1, shift += 8) {
      const p = ${value}.charCodeAt(from);
      seen |= p;
      rest |= p << shift;
    }
    words[to] = rest;
  }
  place += ((n${index} >> 2) + 1) << 2;
`;
    case 'blob':
      return `  const ${low} = (place - ${origin}) | (n${index} << 16);
  if (n${index} > 0) {
    words[at + ((place + n${index} + 3) >> 2)] = 0;
    const to = ((at + 1) << 2) + place;
    if (n${index} > ${LOOPED_BYTES_MAX} && isUnshared(${value})) bytes.set(${value}, to);
    else for (let from = 0; from < n${index}; from += 1) bytes[to + from] = ${value}[from];
    place += (n${index} + 3) & -4;
  }
`;
    default:
      return '';
  }
}

/** The stores of the entry's words, then the arrays of a fixed size, byte by byte. */
function bodySource(plan: RecordPlan): string {
  const parts: string[][] = Array.from({ length: plan.bodyWords }, () => []);
  plan.fields.forEach((field, index) => {
    for (const [offset, size, value] of piecesOf(field, index)) addPiece(parts, offset, size, value);
  });
  const arrays = plan.fields
    .map(({ storage, offset, size }, index) => {
      if (storage !== 'fixed-text' && storage !== 'fixed-blob') return '';
      const to = `((at + 1) << 2) + ${offset}`;
      return storage === 'fixed-text'
        ? `  for (let from = 0, to = ${to}; from < a${index}.length; from += 1) {
    const p = a${index}.charCodeAt(from);
    seen |= p;
    bytes[to + from] = p;
  }
`
        : `  for (let from = 0, to = ${to}, n = Math.min(lengthOf(a${index}), ${size}); from < n; from += 1) {
    bytes[to + from] = a${index}[from];
  }
`;
    })
    .join('');
  return storesOf(parts) + arrays;
}

/** Stores of single words, and a fill for runs that only arrays lie in. */
function storesOf(parts: readonly string[][]): string {
  let source = '';
  for (let word = 2; word < parts.length; word++) {
    let end = word;
    while (end < parts.length && parts[end]?.length === 0) end++;
    if (end - word > 8) {
      source += `  words.fill(0, at + ${word + 1}, at + ${end + 1});\n`;
      word = end - 1;
    } else source += `  words[at + ${word + 1}] = ${parts[word]?.join(' | ') || '0'};\n`;
  }
  return source;
}

function piecesOf({ storage, offset, size }: PlannedField, index: number): [number, number, string][] {
  if (storage === 'integer') return [[offset, size, `a${index}`]];
  if (storage === 'text' || storage === 'blob') return [[offset, 4, `l${index}`]];
  if (storage !== 'long' && storage !== 'double') return [];
  return [
    [offset, 4, `l${index}`],
    [offset + 4, 4, `h${index}`],
  ];
}

/** Adds a value of up to four bytes to the words that it lies in. */
function addPiece(parts: readonly string[][], offset: number, size: number, value: string): void {
  const shift = (offset % 4) * 8;
  const masked = size === 4 ? value : `(${value} & ${size === 1 ? 255 : 65535})`;
  parts[offset >> 2]?.push(shift === 0 ? masked : `(${masked} << ${shift})`);
  if ((offset % 4) + size > 4) parts[(offset >> 2) + 1]?.push(`(${masked} >>> ${32 - shift})`);
}
