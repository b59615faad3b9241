/*
 * Exceptions thrown through functions that are probed.
 *
 *   exceptions TIMES
 */
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#define PROBED extern "C" __attribute__((noinline, noclone, used))

static volatile long factor = 3;

PROBED long probed_thrower(long number) {
  if (number % 3 == 1) throw std::runtime_error("one");
  if (number % 3 == 2) throw number;
  return number * factor;
}

/* Passes exceptions on. */
PROBED long probed_middle(long number) {
  long answer = probed_thrower(number);
  __asm__ volatile("" : "+r"(answer));
  return answer + 1;
}

/* Catches some, and returns by a jump to another function. */
PROBED long probed_catcher(long number) {
  try {
    number = probed_middle(number);
  } catch (const std::exception &) {
    number = -1;
  }
  __asm__ volatile("" : "+r"(number));
  return probed_thrower(number * 3);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  long sum = 0;
  for (long i = 0; i < atol(argv[1]); i++) {
    try {
      sum += probed_catcher(i);
    } catch (long number) {
      sum += 1000 * number;
    }
  }
  printf("%ld\n", sum);
  return 0;
}
