/*
 * A program to be probed while it runs: threads call functions again and again, and check each answer themselves.
 *
 *   probed-loop THREADS
 *
 * It prints `ready`. To each line of its input it answers:
 *   least    the count of calls of the thread that made the fewest
 *   fork     a child makes 1,000 calls; `child STATUS`, as of waitpid(2)
 * At the input's end it prints `calls N wrong W`.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long factor = 3;
static atomic_bool is_over;

static struct worker {
  pthread_t thread;
  _Alignas(64) _Atomic long calls;
  long wrong;
} workers[64];

/* Its first instruction reads memory relative to itself. */
__attribute__((noinline, noclone, used)) long probed_work(long number, long other) {
  long result = factor * number + other;
  __asm__ volatile("" : "+r"(result));
  return result;
}

__attribute__((noinline, noclone, used)) long probed_recursion(long depth) {
  long below = depth > 0 ? probed_recursion(depth - 1) : 0;
  __asm__ volatile("" : "+r"(below));
  return below + probed_work(depth, 1);
}

/* Ends with a jump to another function, which returns in its place. */
__attribute__((noinline, noclone, used)) long probed_tail(long number) { return probed_work(number, 6); }

static long wrong_calls(long number) {
  return (probed_work(number, 5) != 3 * number + 5) + (probed_recursion(2) != 12) + (probed_tail(number) != 3 * number + 6);
}

static void *work(void *argument) {
  struct worker *worker = argument;
  while (!is_over) {
    worker->wrong += wrong_calls(worker->calls);
    worker->calls++;
  }
  return NULL;
}

static int child_status(void) {
  pid_t child = fork();
  if (child == 0) {
    long wrong = 0;
    for (long i = 0; i < 1000; i++) wrong += wrong_calls(i);
    _exit(wrong != 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int threads = atoi(argv[1]);
  if (threads < 1 || threads > 64) return 2;
  for (int i = 0; i < threads; i++) pthread_create(&workers[i].thread, NULL, work, &workers[i]);
  puts("ready");
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "fork\n") == 0) {
      printf("child %d\n", child_status());
    } else {
      long least = workers[0].calls;
      for (int i = 1; i < threads; i++)
        if (workers[i].calls < least) least = workers[i].calls;
      printf("least %ld\n", least);
    }
    fflush(stdout);
  }
  is_over = 1;
  long calls = 0, wrong = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    calls += workers[i].calls;
    wrong += workers[i].wrong;
  }
  printf("calls %ld wrong %ld\n", calls, wrong);
  return 0;
}
