/*
 * Functions that return in all ways there are, to be probed. Each mode calls them the same way every time, and prints what they
 * answered.
 *
 *   returns MODE    calls, threads, fork, backtrace, cancel
 */
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBED __attribute__((noinline, noclone, used))

static volatile long factor = 3;
static jmp_buf escape;

PROBED long probed_recursion(long depth) {
  long below = depth > 0 ? probed_recursion(depth - 1) : 0;
  __asm__ volatile("" : "+r"(below));
  return below + depth;
}

/* Several returns. */
PROBED long probed_branches(long number) {
  if (number % 3 == 0) return factor;
  if (number % 3 == 1) {
    long answer = probed_recursion(number % 4);
    __asm__ volatile("" : "+r"(answer));
    return answer * factor;
  }
  __asm__ volatile("" ::: "memory");
  return -number;
}

PROBED long probed_end(long number) {
  __asm__ volatile("" : "+r"(number));
  return number * factor;
}

/* Jumps to the function before it, which returns in its place. */
PROBED long probed_tail(long number) { return probed_end(number + 1); }

/* Jumps to one that jumps. */
PROBED long probed_tails(long number) { return number % 2 == 0 ? probed_tail(number) : probed_end(number); }

/* Leaves without returning if the number is odd; calls one that would. */
PROBED long probed_leaving(long number) {
  if (number % 2 == 1) longjmp(escape, 1);
  __asm__ volatile("" : "+r"(number));
  return number + factor;
}

PROBED long probed_outer(long number) {
  long answer = probed_leaving(number);
  __asm__ volatile("" : "+r"(answer));
  return answer + probed_tail(number);
}

PROBED int probed_frames(void **frames, int size) {
  int count = backtrace(frames, size);
  __asm__ volatile("" : "+r"(count));
  return count;
}

/* Its returns are followed from its entry. */
PROBED int probed_tail_frames(void **frames, int size) { return probed_frames(frames, size); }

PROBED int probed_around(void **frames, int size, long number) {
  int count = probed_frames(frames, size);
  if (number < 0) return (int)probed_tail(number);
  __asm__ volatile("" : "+r"(count));
  return count;
}

static long calls(void) {
  volatile long sum = 0;
  for (volatile long i = 0; i < 12; i++) {
    sum += probed_recursion(i % 5) + probed_branches(i) + probed_tail(i) + probed_tails(i);
    if (setjmp(escape) == 0) sum += probed_outer(i);
  }
  return sum;
}

static void *work(void *argument) {
  long sum = 0;
  for (long i = 0; i < 50; i++) sum += probed_recursion(i % 7) + probed_branches(i) + probed_tails(i);
  *(long *)argument = sum;
  return NULL;
}

static void threads(void) {
  pthread_t ids[4];
  long sums[4];
  for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, work, &sums[i]);
  for (int i = 0; i < 4; i++) pthread_join(ids[i], NULL);
  printf("threads %ld %ld %ld %ld\n", sums[0], sums[1], sums[2], sums[3]);
}

/* Forks in the middle of a call, which both return from. */
PROBED long probed_fork(long depth) {
  long answer = depth > 0 ? probed_fork(depth - 1) : fork();
  __asm__ volatile("" : "+r"(answer));
  return answer < 0 ? probed_tail(answer) : answer;
}

static void forked(void) {
  long child = probed_fork(2);
  if (child == 0) _exit((int)(calls() % 100));
  int status;
  waitpid((pid_t)child, &status, 0);
  printf("fork %d\n", WEXITSTATUS(status));
}

static void backtraces(void) {
  void *frames[32];
  printf("backtrace %d %d %d\n", probed_frames(frames, 32), probed_around(frames, 32, 1), probed_tail_frames(frames, 32));
}

static void *wait_for_ever(void *ready) {
  if (write(*(int *)ready, "x", 1) != 1) exit(5);
  while (factor != 0) pause();
  return NULL;
}

PROBED void *probed_thread(void *argument) {
  void *answer = wait_for_ever(argument);
  __asm__ volatile("" : "+r"(answer));
  return answer;
}

/* Cancellation unwinds the thread's stack. */
static void cancelled(void) {
  int pipes[2];
  char byte;
  pthread_t thread;
  void *answer;
  if (pipe(pipes) != 0) exit(3);
  pthread_create(&thread, NULL, probed_thread, &pipes[1]);
  if (read(pipes[0], &byte, 1) != 1) exit(4);
  pthread_cancel(thread);
  pthread_join(thread, &answer);
  printf("cancelled %d\n", answer == PTHREAD_CANCELED);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  if (strcmp(argv[1], "calls") == 0) printf("calls %ld\n", calls());
  else if (strcmp(argv[1], "threads") == 0) threads();
  else if (strcmp(argv[1], "fork") == 0) forked();
  else if (strcmp(argv[1], "backtrace") == 0) backtraces();
  else if (strcmp(argv[1], "cancel") == 0) cancelled();
  else return 2;
  return 0;
}
