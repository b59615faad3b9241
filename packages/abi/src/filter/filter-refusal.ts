/** What is wrong with a filter, in the kernel's words: its errno, and what the `filter` file shows afterwards. */

import { ErrnoError, type ErrnoName } from '@usertrace/base';

/** The rules of the language, each with what is said when it is broken. */
export const FILTER_ERRORS = {
  invalidOperator: 'Invalid operator',
  tooManyOpen: "Too many '('",
  tooFewOpen: "Too few '('",
  missingQuote: 'Missing matching quote',
  operandTooLong: 'Operand too long',
  expectingString: 'Expecting string field',
  expectingNumber: 'Expecting numeric field',
  illegalOperation: 'Illegal operation for field type',
  fieldNotFound: 'Field not found',
  illegalInteger: 'Illegal integer value',
  tooManyTerms: 'Too many terms in predicate expression',
  invalidValue: 'Invalid value (did you forget quotes)?',
  functionNotFound: 'Function not found',
  noFilter: 'No filter found',
  missingBraceOpen: "Missing '{'",
  missingBraceClose: "Missing '}'",
  invalidCpuList: 'Invalid cpulist',
} as const;

export type FilterErrorName = keyof typeof FILTER_ERRORS;

/** Thrown for a filter that is refused. */
export class FilterRefusal extends ErrnoError {
  override readonly name: string = 'FilterRefusal';
  /** The text, without spaces at its end. */
  readonly filter: string;
  /** What the `filter` file shows. */
  readonly fileText: string;
  /** What `error_log` says, and the character that its caret stands under, from 0. */
  readonly logged: { readonly text: string; readonly position: number };

  /**
   * @param filter the text, without spaces at its end
   * @param errno what write(2) answers
   * @param error which rule it breaks, and where; undefined where the kernel does not say
   */
  constructor(filter: string, errno: ErrnoName, error?: { name: FilterErrorName; position: number }) {
    const said = error === undefined ? 'it has nothing to compare' : FILTER_ERRORS[error.name];
    const where = error === undefined ? '' : `, at character ${error.position + 1}`;
    super(errno, `Cannot take the filter "${filter}": ${said}${where}`);
    this.filter = filter;
    // Where the kernel knows no more than that something is wrong, it says this.
    this.logged =
      error === undefined ? { text: 'Error', position: 0 } : { text: said, position: error.position };
    this.fileText =
      error === undefined
        ? `${filter}\nError: (0)\n\n`
        : `${filter}\n${' '.repeat(error.position)}^\nparse_error: ${said}\n\n`;
  }
}
