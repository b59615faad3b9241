/* A library to be probed while it is loaded. */
__attribute__((noinline)) long probed_work(long number) {
  return number * 3 + 1;
}
