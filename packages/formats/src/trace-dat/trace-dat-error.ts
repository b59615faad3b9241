/** A file that is no trace.dat, is damaged where nothing can be read without that part, or needs what we lack. */
export class TraceDatError extends Error {
  override readonly name: string = 'TraceDatError';
}
