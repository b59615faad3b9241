/*
 * Functions that end in all forms in which a jump may stand at a `ret`, or may not, to be probed.
 *
 *   return-forms once N      calls each N times, prints `wrong W`
 *   return-forms serve       prints `ready`; to each line of its input it answers:
 *     threads T N            T threads do it; `done W`
 *     fork N                 a child does; `done STATUS`
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each begins where the one before ends, unless it says otherwise: so nothing fills up behind a `ret`. */
#define FUNCTION(name, align, code) \
  __asm__(".text\n" align "\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" code "\n.size " #name ", .-" #name "\n"); \
  long name(long number)
#define NEXT ""
#define ALIGNED ".p2align 4"

static volatile long factor = 3;

/* The `ret` has room behind it: a jump stands there. */
FUNCTION(form_padded, ALIGNED, "lea (%rdi,%rdi,2),%rax\nret");
FUNCTION(form_repeated, ALIGNED, "lea (%rdi,%rdi,2),%rax\nrepz ret");
FUNCTION(form_bound, ALIGNED, "lea (%rdi,%rdi,2),%rax\nbnd ret");
/* The jump stands before it. */
FUNCTION(form_pops, ALIGNED, "push %rbx\npush %r12\nmov %rdi,%rbx\nlea (%rbx,%rbx,2),%rax\npop %r12\npop %rbx\nstc\nret");
FUNCTION(form_relative, NEXT, "imul factor(%rip),%rdi\nmov %rdi,%rax\nret");
/* What is displaced may leave by a branch, and then does not return there. */
FUNCTION(form_branch, NEXT, "lea (%rdi,%rdi,2),%rax\ntest $1,%dil\nje 1f\nret\n1: lea (%rax),%rax\nlea (%rax),%rax\nret");
/* One `ret` is jumped to: a breakpoint. The other has a jump. */
FUNCTION(form_mixed, NEXT, "lea (%rdi,%rdi,2),%rax\ntest $1,%dil\nje 1f\nlea (%rax),%rax\nlea (%rax),%rax\nret\nlea (%rax),%rax\n1: ret");
/* The jumps at its beginning and at its end would overlap. */
FUNCTION(form_short, NEXT, "lea (%rdi,%rdi,2),%rax\nlea (%rax),%rax\nret");
/* It has no room for one. */
FUNCTION(form_tiny, NEXT, "mov %rdi,%rax\nret");
/* It runs on into the function behind it. */
FUNCTION(form_through, NEXT, "lea (%rdi,%rdi,2),%rax");
FUNCTION(form_behind, NEXT, "lea (%rax),%rax\nlea (%rax),%rax\nret");
/* It takes two words of its caller's along. */
FUNCTION(form_taking, NEXT, "lea (%rdi,%rdi,2),%rax\nlea (%rax),%rax\nret $16");
FUNCTION(form_last, NEXT, "jmp form_last");
FUNCTION(call_taking, ALIGNED, "push %rbp\nmov %rsp,%rbp\npush %rdi\npush %rdi\ncall form_taking\ncmp %rsp,%rbp\nje 1f\nud2\n1: pop %rbp\nret");

static long wrong_calls(long number) {
  long (*const threefold[])(long) = {form_padded, form_repeated, form_bound, form_pops, form_relative,
                                     form_branch, form_mixed, form_short, form_through, call_taking};
  long wrong = form_tiny(number) != number;
  for (unsigned i = 0; i < sizeof threefold / sizeof *threefold; i++) wrong += threefold[i](number) != 3 * number;
  return wrong;
}

static long count;

static void *work(void *wrong) {
  for (long i = 0; i < count; i++) *(long *)wrong += wrong_calls(i);
  return NULL;
}

static long in_threads(int threads) {
  pthread_t ids[16];
  long wrong[16] = {0}, all = 0;
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, &wrong[i]);
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    all += wrong[i];
  }
  return all;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "once") == 0) {
    long wrong = 0;
    count = atol(argv[2]);
    work(&wrong);
    printf("wrong %ld\n", wrong);
    return 0;
  }
  printf("ready\n");
  fflush(stdout);
  char line[64];
  int threads;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "threads %d %ld", &threads, &count) == 2 && threads <= 16) {
      printf("done %ld\n", in_threads(threads));
    } else if (sscanf(line, "fork %ld", &count) == 1) {
      int status = -1;
      pid_t child = fork();
      if (child == 0) {
        long wrong = 0;
        work(&wrong);
        _exit(wrong != 0);
      }
      waitpid(child, &status, 0);
      printf("done %d\n", status);
    }
    fflush(stdout);
  }
  return 0;
}
