/*
 * Loads a library, calls its function and unloads it, again and again; prints the sum of the answers.
 *
 *   library-loader LIBRARY TIMES
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long sum = 0;
  for (long i = 0; i < atol(argv[2]); i++) {
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) return 3;
    long (*function)(long) = (long (*)(long))dlsym(library, "probed_work");
    if (function == NULL) return 4;
    sum += function(i);
    dlclose(library);
  }
  printf("%ld\n", sum);
  return 0;
}
