/*
 * Functions that are entered in their middle by what is no branch of theirs: exceptions come to landing pads, `goto *` to labels behind
 * a switch, whose table says nothing of them.
 *
 *   unusual-entries TIMES
 */
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#define PROBED extern "C" __attribute__((noinline, noclone, used))

static volatile long factor = 3;
static volatile int numbers[] = {0, 1, 2, 3};
static long guards;

struct Guard {
  ~Guard() { guards++; }
};

PROBED long probed_thrower(long number) {
  if (number % 3 == 1) throw std::runtime_error("one");
  return number * factor;
}

/* Its landing pad is behind its `ret`. */
PROBED long probed_guarded(long number) {
  Guard guard;
  return probed_thrower(number) + 1;
}

PROBED long probed_catcher(long number) {
  try {
    return probed_guarded(number);
  } catch (const std::exception &) {
    return -7;
  }
}

/* Each label is reached by its number, and from the one before it. */
PROBED long probed_labels(long choice, long number) {
  static const void *const labels[] = {&&first, &&second, &&third, &&fourth};
  long result = number;
  switch (choice & 7) {
  case 0: result += 3; break;
  case 1: result ^= 0x55; break;
  case 2: result *= 7; break;
  case 3: result -= 9; break;
  case 4: result <<= 2; break;
  case 5: result = ~result; break;
  case 6: result += choice; break;
  default: result *= result; break;
  }
  long index = numbers[number & 3];
  goto *labels[index];
first:
  result++;
  __asm__ volatile("");
second:
  result = 1 - result;
  __asm__ volatile("");
third:
  result ^= choice;
fourth:
  return result * 5 + 2;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  unsigned long sum = 0;
  for (long i = 0; i < atol(argv[1]); i++) sum = sum * 31 + probed_catcher(i) + probed_labels(i & 7, i * 3 % 16);
  printf("%lx %ld\n", sum, guards);
  return 0;
}
