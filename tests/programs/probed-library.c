/* A library to be probed while it is loaded. Its constructor runs before dlopen(3) returns. */
static volatile long constructed;

__attribute__((noinline)) long probed_work(long number) {
  return number * 3 + 1;
}

__attribute__((constructor)) static void construct(void) {
  constructed = probed_work(-1);
}
