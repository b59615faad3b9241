/*
 * The program whose memory the tests access. It prints "NAME HEX-ADDRESS" for each place, then "ready", and obeys
 * letters on its standard input:
 *   c  count in the low 24 bits of `word` from a thread, for ever; abort if somebody else changed them
 *   f  fork a child that shares nothing but the copy, print "child PID"
 *   e  exec sleep
 *   q  exit
 * Places: word (in the middle of 16 bytes of 0xa5), readonly, none, unmapped, two (the last byte of a writable page
 * before a read-only one), text (a string that ends with a page before an unmapped one), hung (a page that userfaultfd
 * never brings; 0 if there is no userfaultfd), stuck (a page of a file whose file system never answers a read; 0 if
 * FUSE is out of reach). The file that is the only argument becomes that file system's mount point, in a mount
 * namespace of the program's own, served by a child, server; so the whole process group has to be killed.
 */
#define _GNU_SOURCE
#include "../../../../tests/programs/silent-page.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
  uint8_t before[8];
  _Atomic uint32_t word;
  uint8_t after[4];
} place __attribute__((aligned(16)));

static char *pages(int count, int protection) {
  return mmap(NULL, count * 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *hung_page(void) {
  int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0) return NULL;
  char *page = pages(1, PROT_READ | PROT_WRITE);
  struct uffdio_register range = {{(uintptr_t)page, 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
  return ioctl(fd, UFFDIO_REGISTER, &range) < 0 ? NULL : page;
}

static void *count(void *unused) {
  for (uint32_t expected = 0;; expected = (expected + 1) & 0xffffff) {
    uint32_t old = atomic_load(&place.word);
    do {
      if ((old & 0xffffff) != expected) abort();
    } while (!atomic_compare_exchange_weak(&place.word, &old, (old & 0xff000000) | ((expected + 1) & 0xffffff)));
  }
  return unused;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, 9);
  setvbuf(stdout, NULL, _IOLBF, 0);
  memset(&place, 0xa5, sizeof place);
  atomic_store(&place.word, 0);
  char *two = pages(2, PROT_READ | PROT_WRITE);
  mprotect(two + 4096, 4096, PROT_READ);
  /* Far from where the kernel maps by itself, so that the page above stays unmapped. */
  char *text = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  memcpy(text + 4096 - 9, "usertrace", 9);
  pid_t server = 0;
  char *stuck = map_silent_pages(argc > 1 ? argv[1] : "", "", 0600, 4096, &server);
  printf("word %lx\nreadonly %lx\nnone %lx\nunmapped %lx\ntwo %lx\ntext %lx\nhung %lx\nstuck %lx\nserver %x\nready 0\n", (long)&place.word,
         (long)pages(1, PROT_READ), (long)pages(1, PROT_NONE), (long)text + 4096, (long)two + 4095,
         (long)text + 4096 - 9, (long)hung_page(), (long)stuck, server);
  for (int letter; (letter = getchar()) != EOF;) {
    pthread_t thread;
    if (letter == 'c') pthread_create(&thread, NULL, count, NULL), printf("counting 0\n");
    if (letter == 'f') {
      int pid = fork();
      if (pid == 0) prctl(PR_SET_PDEATHSIG, 9), pause();
      printf("child %x\n", pid);
    }
    if (letter == 'e') execlp("sleep", "sleep", "60", NULL);
    if (letter == 'q') return 0;
  }
  return 0;
}
