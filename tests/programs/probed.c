/*
 * A program to be probed: threads call a function many times, then one in a child, and the threads in itself executed anew. It
 * prints what the function answered.
 *
 *   probed THREADS CALLS
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"one", "two", "three"};
static volatile long factor = 3;

/* Its first instruction reads memory relative to itself, so that the slot has to be right. */
__attribute__((noinline, noclone, used)) long probed_work(long number, const char *name, short negative) {
  long result = factor * number + (name[0] == 't') + negative;
  __asm__ volatile("" : "+r"(result));
  return result;
}

static long calls;

static void *work(void *argument) {
  long sum = 0;
  for (long i = 0; i < calls; i++) sum += probed_work(i, names[i % 3], (short)-i);
  *(long *)argument = sum;
  return NULL;
}

static void run(int threads, const char *who) {
  pthread_t ids[64];
  long sums[64], sum = 0;
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, &sums[i]);
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum += sums[i];
  }
  printf("%s %ld\n", who, sum);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int threads = atoi(argv[1]);
  calls = atol(argv[2]);
  if (threads < 1 || threads > 64) return 2;
  int is_last = argc > 3 && strcmp(argv[3], "last") == 0;
  run(threads, is_last ? "executed" : "first");
  if (is_last) return 0;
  pid_t child = fork();
  if (child == 0) {
    run(1, "child");
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (status != 0) return 3;
  execl("/proc/self/exe", argv[0], argv[1], argv[2], "last", NULL);
  return 4;
}
