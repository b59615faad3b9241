/** Texts that programs are started with. The kernel takes any bytes but zero (execve(2)), so that one may be no UTF-8. */

/** A text, or its bytes where they are not UTF-8. */
export type ProgramText = string | Uint8Array;

/** The bytes of a text, as UTF-8. */
export function bytesOf(text: ProgramText): Buffer {
  return typeof text === 'string'
    ? Buffer.from(text)
    : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
}

/** An environment: its variables by name, or `NAME=VALUE` each. */
export type ProgramEnvironment = Readonly<Record<string, string | undefined>> | readonly ProgramText[];

/** The entries of an environment, `NAME=VALUE` each. */
export function environmentEntries(environment: ProgramEnvironment): readonly ProgramText[] {
  if (isList(environment)) return environment;
  return Object.entries(environment).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
}

/**
 * The value of a variable.
 *
 * @returns undefined when there is none of that name
 */
export function environmentValue(environment: ProgramEnvironment, name: string): ProgramText | undefined {
  if (!isList(environment)) return environment[name];
  const start = Buffer.from(`${name}=`);
  for (const entry of environment) {
    const bytes = bytesOf(entry);
    if (bytes.subarray(0, start.length).equals(start)) return bytes.subarray(start.length);
  }
  return undefined;
}

function isList(environment: ProgramEnvironment): environment is readonly ProgramText[] {
  return Array.isArray(environment);
}
