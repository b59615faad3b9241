/*
 * Calls whose returns cannot be followed from the function's entry, and some that can. It prints what the calls answered.
 *
 *   missed-returns generated COUNT    from code in no file
 *   missed-returns system COUNT       which return to a system call instruction
 *   missed-returns deep DEPTH         one within the other
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PROBED __attribute__((noinline, noclone, used))

static volatile long call_number = SYS_getppid;

PROBED long ending(void) { return call_number; }

/* Each ends with a jump to another function: its returns are followed from its entry. */
PROBED long probed_followed(void) {
  __asm__ volatile("");
  return ending();
}

PROBED long added(long number) { return number + (call_number != 0); }

PROBED long probed_deep(long depth) {
  if (depth == 0) return ending();
  long below = probed_deep(depth - 1);
  return added(below);
}

static long generated(long count) {
  /* sub rsp,8; call rdi; add rsp,8; ret */
  static const unsigned char code[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) exit(2);
  memcpy(memory, code, sizeof code);
  long (*caller)(long (*)(void)) = memory;
  long sum = 0;
  for (long i = 0; i < count; i++) sum += caller(probed_followed);
  return sum;
}

static long system_calls(long count) {
  long parents = 0;
  for (long i = 0; i < count; i++) {
    long answer;
    __asm__ volatile("lea -136(%%rsp), %%rsp\n\tcall probed_followed\n\tsyscall\n\tlea 136(%%rsp), %%rsp"
                     : "=a"(answer)
                     :
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    parents += answer > 0;
  }
  return parents;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long count = atol(argv[2]), answer = 0;
  if (strcmp(argv[1], "generated") == 0) answer = generated(count);
  if (strcmp(argv[1], "system") == 0) answer = system_calls(count);
  if (strcmp(argv[1], "deep") == 0) answer = probed_deep(count);
  answer += probed_followed();
  printf("%ld\n", answer);
  return 0;
}
