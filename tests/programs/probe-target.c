/*
 * A program to be probed on command. It prints `ready`, and to each line of its input, a number N, it calls its functions N times and
 * prints `called N SUM`. `fork N` does the same in a child, `exec N` in itself executed anew. With a number as its argument it makes
 * so many calls at once and ends with status 7.
 *
 * Each call passes a static probe site, app:step, whose counter says whether anybody listens: it is reached only then. There are two
 * sites of that name, which differ so that a compiler does not make one of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"zero", "one", "two"};

__attribute__((section(".probes"), used)) unsigned short app_step_counter;

/* A note as sys/sdt.h of SystemTap writes it (its documentation: UserSpaceProbeImplementation). */
#define SITE(nops, arguments, value)                                                                        \
  __asm__ volatile("990: " nops "\n"                                                                        \
                   ".pushsection .note.stapsdt,\"\",\"note\"\n"                                             \
                   ".balign 4\n .4byte 992f-991f, 994f-993f, 3\n"                                           \
                   "991: .asciz \"stapsdt\"\n992: .balign 4\n"                                              \
                   "993: .8byte 990b\n .8byte _.stapsdt.base\n .8byte app_step_counter\n"                   \
                   ".asciz \"app\"\n .asciz \"step\"\n .asciz \"" arguments "\"\n"                          \
                   "994: .balign 4\n .popsection\n"                                                         \
                   ".ifndef _.stapsdt.base\n"                                                               \
                   ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                  \
                   ".weak _.stapsdt.base\n .hidden _.stapsdt.base\n"                                        \
                   "_.stapsdt.base: .space 1\n .size _.stapsdt.base, 1\n .popsection\n .endif\n"            \
                   :                                                                                        \
                   : "a"(value))

__attribute__((noinline, noclone, used)) long target_work(long number, const char *name) {
  long result = number * 2 + name[0];
  __asm__ volatile("" : "+r"(result));
  return result;
}

__attribute__((noinline, noclone, used)) static void target_step(long number) {
  if (app_step_counter == 0) return;
  if (number % 2 == 0)
    SITE("nop", "8@%%rax", number);
  else
    SITE("nop; nop", "8@%%rax", -number);
}

static long call(long count) {
  long sum = 0;
  for (long i = 0; i < count; i++) {
    sum += target_work(i, names[i % 3]);
    target_step(i);
  }
  return sum;
}

static void answer(long count) {
  printf("called %ld %ld\n", count, call(count));
  fflush(stdout);
}

static void children(long children, long count) {
  for (long i = 0; i < children; i++) {
    pid_t child = fork();
    if (child == 0) {
      call(count);
      _exit(0);
    }
    waitpid(child, NULL, 0);
  }
  printf("children %ld\n", children);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    answer(atol(argv[1]));
    return 7;
  }
  puts("ready");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "fork ", 5) == 0) {
      pid_t child = fork();
      if (child == 0) {
        answer(atol(line + 5));
        _exit(0);
      }
      int status;
      waitpid(child, &status, 0);
      if (status != 0) printf("child %d\n", status);
    } else if (strncmp(line, "children ", 9) == 0) {
      char *rest;
      long many = strtol(line + 9, &rest, 10);
      children(many, atol(rest));
    } else if (strncmp(line, "exec ", 5) == 0) {
      line[strcspn(line, "\n")] = 0;
      execl("/proc/self/exe", argv[0], line + 5, (char *)NULL);
      return 1;
    } else {
      answer(atol(line));
    }
    fflush(stdout);
  }
  return 0;
}
