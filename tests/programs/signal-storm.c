/*
 * A program whose threads are interrupted all the time while they call a function: by a timer of their own, whose handler calls the
 * function too, and sometimes leaves by siglongjmp what it has interrupted, or runs on a stack of its own. It checks each answer.
 *
 *   signal-storm THREADS CALLS PERIOD_US
 *
 * It prints `ready`, reads a line, makes CALLS calls in each thread, and prints `calls N wrong W`. The handler's calls and those that
 * were left are not counted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile long factor = 3;
static long calls, period_us;
static volatile long wrong;
static __thread sigjmp_buf away;
static __thread volatile int can_leave;
static __thread volatile unsigned signals;

__attribute__((noinline, noclone, used)) long probed_work(long number, long other) {
  long result = factor * number + other;
  __asm__ volatile("" : "+r"(result));
  return result;
}

static void check(long number) {
  if (probed_work(number, 5) != 3 * number + 5) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static void interrupted(int signal) {
  (void)signal;
  unsigned count = ++signals;
  check(-1);
  if (count % 3 != 0 || !can_leave) return;
  /* siglongjmp lets the next signal in before it leaves this stack. */
  can_leave = 0;
  siglongjmp(away, 1);
}

static void *work(void *argument) {
  static __thread char stack[65536];
  stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
  sigaltstack(&own, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = (long)argument % 2 ? SIGUSR1 : SIGALRM};
  event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) exit(3);
  struct itimerspec often = {{0, period_us * 1000}, {0, period_us * 1000}};
  timer_settime(timer, 0, &often, NULL);
  volatile long number = 0;
  sigsetjmp(away, 1);
  while (number < calls) {
    can_leave = 1;
    check(number);
    can_leave = 0;
    number++;
  }
  memset(&often, 0, sizeof(often));
  timer_settime(timer, 0, &often, NULL);
  timer_delete(timer);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int count = atoi(argv[1]);
  calls = atol(argv[2]);
  period_us = atol(argv[3]);
  if (count < 1 || count > 64) return 2;
  struct sigaction action = {.sa_handler = interrupted};
  sigaction(SIGALRM, &action, NULL);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  pthread_t threads[64];
  char line[8];
  printf("ready\n");
  fflush(stdout);
  if (fgets(line, sizeof(line), stdin) == NULL) return 2;
  for (long i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  printf("calls %ld wrong %ld\n", count * calls, wrong);
  return 0;
}
