/*
 * A program with something of its own to do with SIGILL, to be probed.
 *
 *   illegal default|ignore|handle|block
 *
 * It prints `ready COUNTER`, the address of a counter as static probes have them, and answers each line of its input:
 *   call     calls the probed function 100 times: `called WRONG`
 *   illegal  an invalid instruction: `handled COUNT MASK`, how many the handler got, and which of SIGILL and SIGUSR1 it had blocked
 *   kill     SIGILL from itself: the same
 *   action   what sigaction(2) says: `default`, `ignore`, `handle` or `other`
 *   counter  the counter
 *   fork     a child calls the probed function 100 times: `child STATUS COUNTER`, with the counter that it saw
 *   map FILE OFFSET LENGTH  calls the function that a file has at an offset, mapped anew, until told to stop by a line: `mapped`
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int handled;
static volatile int blocked;
static volatile long factor = 3;
__attribute__((used, section(".probes"))) volatile unsigned short probed_counter = 0;

__attribute__((noinline, noclone, used)) long probed_work(long number) {
  long result = factor * number + 1;
  __asm__ volatile("" : "+r"(result));
  return result;
}

static void handle(int signal, siginfo_t *information, void *context) {
  (void)signal;
  /* Behind ud2. */
  if (information->si_code > 0) ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  blocked = sigismember(&mask, SIGILL) + 2 * sigismember(&mask, SIGUSR1);
  handled++;
}

static long call(void) {
  long wrong = 0;
  for (long i = 0; i < 100; i++) wrong += probed_work(i) != 3 * i + 1;
  return wrong;
}

static void print_action(void) {
  struct sigaction action;
  sigaction(SIGILL, NULL, &action);
  int is_ours = (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle;
  puts(is_ours                           ? "handle"
       : action.sa_handler == SIG_DFL    ? "default"
       : action.sa_handler == SIG_IGN    ? "ignore"
                                         : "other");
}

static void map_and_call(const char *words) {
  char file[4096];
  long offset, length;
  if (sscanf(words, "%4095s %li %li", file, &offset, &length) != 3) exit(3);
  int fd = open(file, O_RDONLY);
  char *memory = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  if (memory == MAP_FAILED) exit(4);
  close(fd);
  long (*function)(long) = (long (*)(long))(memory + offset);
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 1) == 0)
    if (function(5) != 16) exit(5);
  munmap(memory, length);
  puts("mapped");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigset_t illegal;
  sigemptyset(&illegal);
  sigaddset(&illegal, SIGILL);
  if (strcmp(argv[1], "handle") == 0) {
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    sigaddset(&action.sa_mask, SIGUSR1);
  } else if (strcmp(argv[1], "ignore") == 0) {
    action.sa_handler = SIG_IGN;
  } else if (strcmp(argv[1], "block") == 0) {
    sigprocmask(SIG_BLOCK, &illegal, NULL);
  }
  sigaction(SIGILL, &action, NULL);
  setvbuf(stdin, NULL, _IONBF, 0);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready %#lx\n", (long)&probed_counter);
  char line[8192];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, "call") == 0) {
      printf("called %ld\n", call());
    } else if (strcmp(line, "illegal") == 0) {
      __asm__ volatile("ud2");
      printf("handled %d %d\n", handled, blocked);
    } else if (strcmp(line, "kill") == 0) {
      kill(getpid(), SIGILL);
      printf("handled %d %d\n", handled, blocked);
    } else if (strcmp(line, "action") == 0) {
      print_action();
    } else if (strcmp(line, "counter") == 0) {
      printf("counter %d\n", probed_counter);
    } else if (strcmp(line, "fork") == 0) {
      int pipes[2], status;
      unsigned short counter = 0;
      if (pipe(pipes) != 0) return 3;
      pid_t child = fork();
      if (child == 0) {
        long wrong = call();
        counter = probed_counter;
        _exit(write(pipes[1], &counter, sizeof counter) != sizeof counter || wrong != 0);
      }
      waitpid(child, &status, 0);
      close(pipes[1]);
      if (read(pipes[0], &counter, sizeof counter) != sizeof counter) counter = 9999;
      close(pipes[0]);
      printf("child %d %d\n", status, counter);
    } else if (strncmp(line, "map ", 4) == 0) {
      map_and_call(line + 4);
    }
  }
  return 0;
}
