/*
 * A program whose function is called with values that are known. It prints `ready`; to each line of its input it answers:
 *   threads T CALLS   T threads call it, each CALLS times, named `caller TID`; `done WRONG`
 *   fork CALLS        a child does, in its main thread; `done STATUS`
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"one", "two", "three"};
static volatile long factor = 3;
static struct { long unused; unsigned number; } inner = {0, 77};
static void *outer = &inner;
static long calls;
static long wrong;

/* It begins with instructions of 4 bytes that touch nothing, so that their places are known. */
__attribute__((naked, noinline, noclone, used)) long probed_values(
    long number, short negative, const char *name, void **pointer, void *bad) {
  __asm__("lea (%rdi,%rdi,2),%rax\n\tmovswq %si,%rsi\n\tadd %rsi,%rax\n\tmov %rcx,%rcx\n\tret");
}

static void *work(void *argument) {
  char name[16];
  (void)argument;
  snprintf(name, sizeof(name), "caller %ld", syscall(SYS_gettid));
  prctl(PR_SET_NAME, name);
  for (long i = 0; i < calls; i++)
    if (probed_values(i, (short)-i, names[i % 3], &outer, (void *)16) != factor * i - i)
      __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  return NULL;
}

int main(void) {
  char line[64];
  int threads;
  printf("ready\n");
  fflush(stdout);
  while (fgets(line, sizeof(line), stdin) != NULL) {
    if (sscanf(line, "threads %d %ld", &threads, &calls) == 2 && threads <= 16) {
      pthread_t ids[16];
      for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, NULL);
      for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
      printf("done %ld\n", wrong);
    } else if (sscanf(line, "fork %ld", &calls) == 1) {
      int status = -1;
      pid_t child = fork();
      if (child == 0) {
        work(NULL);
        _exit(wrong != 0);
      }
      waitpid(child, &status, 0);
      printf("done %d\n", status);
    }
    fflush(stdout);
  }
  return 0;
}
