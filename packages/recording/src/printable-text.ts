/** Text of provider files, for people: programs wrote it, and it goes to terminals. */

/** Text up to its NUL; characters that would act on a terminal are shown as `?`. */
export function printableText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('utf8');
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
