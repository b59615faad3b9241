/*
 * What engines are tried on. The first argument says what to do; lines on standard output say how far it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;
static volatile long counter;
static int order[4096];

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  if (handled < 4096) order[handled] = info->si_value.sival_int;
  handled = handled + 1;
}

static void handle(int signal) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(signal, &action, NULL);
}

static void *quick(void *argument) {
  syscall(SYS_getppid);
  return argument;
}

static void say(const char *text) {
  printf("%s\n", text);
  fflush(stdout);
}

/* Threads that call the system once and end, `count` at a time, for ever. */
static void churn(int count) {
  pthread_t *threads = calloc(count, sizeof *threads);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  for (;;) {
    int made = 0;
    while (made < count && pthread_create(&threads[made], &attributes, quick, NULL) == 0) made++;
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
  }
}

static void *exec_in_thread(void *path) {
  execl(path, path, "executed", (char *)NULL);
  return NULL;
}

static void *asleep(void *argument) {
  for (;;) pause();
  return argument;
}

/*
 * A shell's part: a job in a terminal that `number` stops, by Ctrl-Z or because it reads or writes in the background, and that is
 * woken in the foreground. Returns which signal it saw stop the job, or 100 when that did not end as it should.
 */
static int job(int number) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY), status = 0;
  grantpt(terminal);
  unlockpt(terminal);
  setsid();
  int side = open(ptsname(terminal), O_RDWR);
  struct termios mode;
  tcgetattr(side, &mode);
  mode.c_lflag |= TOSTOP;
  tcsetattr(side, TCSANOW, &mode);
  handle(SIGCONT);
  pid_t child = fork();
  if (child == 0) {
    char byte = 'x';
    setpgid(0, 0);
    if (number == SIGTTIN) _exit(read(side, &byte, 1) == 1 ? 7 : 8);
    if (number == SIGTTOU) _exit(write(side, &byte, 1) == 1 ? 7 : 8);
    while (!handled) usleep(500);
    _exit(7);
  }
  setpgid(child, child);
  signal(SIGTTOU, SIG_IGN);
  if (number == SIGTSTP) {
    tcsetpgrp(side, child);
    if (write(terminal, "\032", 1) != 1) return 100;
  }
  waitpid(child, &status, WUNTRACED);
  if (!WIFSTOPPED(status)) return 100;
  int stopped = WSTOPSIG(status);
  tcsetpgrp(side, child);
  if (number == SIGTTIN && write(terminal, "q\n", 2) != 2) return 100;
  kill(child, SIGCONT);
  waitpid(child, &status, 0);
  return WEXITSTATUS(status) == 7 ? stopped : 100;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  int count = argc > 2 ? atoi(argv[2]) : 0;
  if (!strcmp(what, "calls")) {
    for (int i = 0; i < count; i++) syscall(SYS_getppid);
  } else if (!strcmp(what, "count")) {
    /* Says from time to time that it runs. */
    say("ready");
    for (;;) {
      usleep(2000);
      counter++;
      printf("tick %ld\n", counter);
      fflush(stdout);
    }
  } else if (!strcmp(what, "signals")) {
    /* Takes `count` queued signals, and says in which order they came. */
    handle(SIGRTMIN);
    say("ready");
    while (handled < count) usleep(200);
    for (int i = 0; i < count; i++)
      if (order[i] != i) {
        printf("out of order at %d: %d\n", i, order[i]);
        return 1;
      }
    usleep(20000);
    printf("handled %d\n", (int)handled);
  } else if (!strcmp(what, "send")) {
    /* send COUNT PID: queues that many numbered signals, as fast as the queue takes them. */
    for (int i = 0; i < count; i++)
      while (sigqueue(atoi(argv[3]), SIGRTMIN, (union sigval){.sival_int = i})) usleep(100);
  } else if (!strcmp(what, "usr1")) {
    handle(SIGUSR1);
    say("ready");
    for (int seen = 0;;) {
      usleep(500);
      for (; seen < handled; seen++) say("usr1");
    }
  } else if (!strcmp(what, "sleep-once")) {
    /* One long sleep that must not be cut short by a tracer. */
    struct timespec start, now, length = {count / 1000, count % 1000 * 1000000L};
    clock_gettime(CLOCK_MONOTONIC, &start);
    say("ready");
    int failed = nanosleep(&length, NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long ms = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
    printf("slept %s %d\n", failed ? strerror(errno) : "whole", ms >= count);
  } else if (!strcmp(what, "churn")) {
    /* Makes and ends threads until it is killed. */
    say("ready");
    churn(count);
  } else if (!strcmp(what, "dead-leader")) {
    /* The leader ends at SIGUSR1, and another thread lives on. */
    pthread_t thread;
    handle(SIGUSR1);
    pthread_create(&thread, NULL, asleep, NULL);
    say("ready");
    while (!handled) usleep(200);
    pthread_exit(NULL);
  } else if (!strcmp(what, "exit-group")) {
    /* All of it ends at SIGUSR1, whatever another thread does. */
    pthread_t thread;
    handle(SIGUSR1);
    pthread_create(&thread, NULL, asleep, NULL);
    say("ready");
    while (!handled) usleep(200);
    syscall(SYS_exit_group, 3);
  } else if (!strcmp(what, "traps")) {
    /* Sends itself SIGTRAP, which tracers take for their own. */
    handle(SIGTRAP);
    for (int i = 0; i < count; i++) raise(SIGTRAP);
    return handled;
  } else if (!strcmp(what, "sibling")) {
    /* Its child makes another child of its. */
    if (fork() == 0) {
      if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) _exit(5);
      _exit(6);
    }
    int first, second;
    wait(&first);
    wait(&second);
    return WEXITSTATUS(first) + WEXITSTATUS(second);
  } else if (!strcmp(what, "children")) {
    for (int i = 0; i < count; i++) {
      pid_t child = i % 2 ? vfork() : fork();
      if (child == 0) _exit(7);
      int status;
      if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 1;
    }
    say("done");
  } else if (!strcmp(what, "fork-forever")) {
    say("ready");
    for (;;) {
      pid_t child = fork();
      if (child == 0) _exit(0);
      waitpid(child, NULL, 0);
    }
  } else if (!strcmp(what, "generations")) {
    /* Each makes the next one and waits for it. */
    for (int i = 0; i < count; i++) {
      pid_t child = fork();
      if (child != 0) {
        int status;
        waitpid(child, &status, 0);
        _exit(WEXITSTATUS(status));
      }
    }
    syscall(SYS_getppid);
    _exit(5);
  } else if (!strcmp(what, "exec-in-thread")) {
    pthread_t thread;
    pthread_create(&thread, NULL, asleep, NULL);
    pthread_create(&thread, NULL, exec_in_thread, argv[0]);
    asleep(NULL);
  } else if (!strcmp(what, "exec-fails")) {
    execl("/nonexistent/program", "program", (char *)NULL);
    printf("%s\n", strerror(errno));
  } else if (!strcmp(what, "job")) {
    return job(count);
  } else if (!strcmp(what, "i386")) {
    /* Calls of the other table: 20 is getpid there and writev on x86-64. */
    long answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20) : "memory");
    return answer == getpid() ? 5 : 6;
  } else if (!strcmp(what, "executed")) {
    say("executed");
    return 3;
  } else if (!strcmp(what, "memory")) {
    static char text[] = "usertrace sees this";
    printf("ready %p %p\n", (void *)text, (void *)&counter);
    fflush(stdout);
    while (counter == 0) usleep(500);
    printf("counter %ld text %s\n", counter, text);
  }
  return 0;
}
