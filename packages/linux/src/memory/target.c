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
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

static int server;

static void *stuck_page(const char *path) {
  char options[100];
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return NULL;
  sprintf(options, "fd=%d,rootmode=100600,user_id=0,group_id=0", device);
  if (mount("stuck", path, "fuse", 0, options) < 0) return NULL;
  /* A process of its own: the program could not exit while its memory waits for a server that is part of it. */
  server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, 9);
    serve_silent_file(device, 0600, 4096);
    _exit(0);
  }
  close(device);
  int fd = open(path, O_RDWR);
  struct stat size_is_asked_for;
  fstat(fd, &size_is_asked_for);
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  return page == MAP_FAILED ? NULL : page;
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
  char *stuck = stuck_page(argc > 1 ? argv[1] : "");
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
