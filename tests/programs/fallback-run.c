/*
 * Runs the handler that serves breakpoints without a tracer, as a probed program would: reads it from its input, installs it for
 * SIGILL, and calls a function that begins with a breakpoint.
 *
 *   fallback-run CALLS STACK STORM
 *
 * Input: u64 region, size, handler, restorer; the region's bytes. The breakpoint is at PROBED, its slot at SLOT.
 * STACK 1: handlers run on a stack of their own. STORM 1: a timer's handler calls the function too, in the middle of all.
 * Prints `wrong N storms N ns N`: wrong answers or registers, timer signals, nanoseconds a call.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PROBED 0x20000000ul
#define SLOT 0x21000000ul

struct kernel_action {
  uint64_t handler, flags, restorer, mask;
};

static volatile long wrong, storms;

static void must(int is_so, const char *what) {
  if (is_so) return;
  perror(what);
  exit(1);
}

static void *map(uint64_t address, uint64_t size) {
  void *memory = mmap((void *)address, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  must(memory == (void *)address, "mmap");
  return memory;
}

static void read_all(void *into, uint64_t size) { must(fread(into, 1, size, stdin) == size, "read"); }

/* Registers that the handler uses or a system call changes, a vector register, and the carry flag, which the slot leaves alone. */
static void call_once(uint64_t number) {
  uint64_t answer, difference, carry;
  __asm__ volatile(
      "mov %[number], %%rdi\n\t"
      "lea -128(%%rsp), %%rsp\n\t" /* the red zone, which the compiler does not know to be used */
      "mov %%rdi, %%r8\n\t"
      "mov %%rdi, %%r9\n\t"
      "mov %%rdi, %%rcx\n\t"
      "mov %%rdi, %%r11\n\t"
      "movq %%rdi, %%xmm3\n\t"
      "mov $0x20000000, %%eax\n\t"
      "stc\n\t"
      "call *%%rax\n\t"
      "lea 128(%%rsp), %%rsp\n\t"
      "sbb %%rdx, %%rdx\n\t"
      "xor %%rdi, %%r8\n\t"
      "xor %%rdi, %%r9\n\t"
      "xor %%rdi, %%rcx\n\t"
      "xor %%rdi, %%r11\n\t"
      "movq %%xmm3, %%rsi\n\t"
      "xor %%rdi, %%rsi\n\t"
      "or %%r8, %%rsi\n\t"
      "or %%r9, %%rsi\n\t"
      "or %%rcx, %%rsi\n\t"
      "or %%r11, %%rsi\n\t"
      : "=&a"(answer), "=&S"(difference), "=&d"(carry)
      : [number] "m"(number)
      : "rcx", "rdi", "r8", "r9", "r10", "r11", "xmm3", "memory", "cc");
  wrong += answer != number + 7 || difference != 0 || carry != UINT64_MAX;
}

static void on_timer(int signal) {
  (void)signal;
  storms++;
  call_once(1000);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  long calls = atol(argv[1]);
  uint64_t region, size, handler, restorer;
  read_all(&region, 8), read_all(&size, 8), read_all(&handler, 8), read_all(&restorer, 8);
  read_all(map(region, size), size);
  /* The breakpoint, and what must not run; lea rax, [rdi+7]; ret. */
  memcpy(map(PROBED, 4096), "\xd6\x0f\x0b", 3);
  memcpy(map(SLOT, 4096), "\x48\x8d\x47\x07\xc3", 5);
  if (argv[2][0] == '1') {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    must(sigaltstack(&stack, NULL) == 0, "sigaltstack");
  }
  struct kernel_action action = {handler, SA_SIGINFO | SA_ONSTACK | 0x04000000, restorer, ~0ul};
  must(syscall(SYS_rt_sigaction, SIGILL, &action, NULL, 8) == 0, "sigaction");
  if (argv[3][0] == '1') {
    signal(SIGALRM, on_timer);
    struct itimerval often = {{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &often, NULL);
  }
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (long i = 0; i < calls; i++) call_once(i);
  clock_gettime(CLOCK_MONOTONIC, &to);
  struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
  printf("wrong %ld storms %ld ns %.0f\n", wrong, storms, ns / calls);
  return 0;
}
