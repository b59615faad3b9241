/** The one binding table: every libc function this project calls, with its C prototype. */

/** What may stand for a pointer: memory of ours, the address of such, or null. */
export type Pointer = NodeJS.TypedArray | DataView | number | bigint | null;

/** The functions of the C library, by name. See section 2 and 3 of the manual pages. */
export interface Libc {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, buffer: Pointer, size: number): number;
  write(fd: number, buffer: Pointer, size: number): number;
  pread(fd: number, buffer: Pointer, size: number, offset: number | bigint): number;
  pwrite(fd: number, buffer: Pointer, size: number, offset: number | bigint): number;
  fcntl(fd: number, command: number, argument: number): number;
  fallocate(fd: number, mode: number, offset: number, size: number): number;
  sync_file_range(fd: number, offset: number, size: number, flags: number): number;
  posix_fadvise(fd: number, offset: number, size: number, advice: number): number;
  ioctl(fd: number, request: number, argument: Pointer): number;
  poll(fds: Pointer, count: number, timeoutMs: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, operation: number, fd: number, event: Pointer): number;
  epoll_wait(epfd: number, events: Pointer, maxEvents: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  mmap(address: Pointer, size: number, protection: number, flags: number, fd: number, offset: number): number;
  munmap(address: Pointer, size: number): number;
  mprotect(address: Pointer, size: number, protection: number): number;
  mount(
    source: string | null,
    target: string,
    type: string | null,
    flags: number,
    options: string | null,
  ): number;
  umount2(target: string, flags: number): number;
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, fds: Pointer): number;
  bind(fd: number, address: Pointer, size: number): number;
  setsockopt(fd: number, level: number, name: number, value: Pointer, size: number): number;
  getsockopt(fd: number, level: number, name: number, value: Pointer, size: Pointer): number;
  send(fd: number, buffer: Pointer, size: number, flags: number): number;
  recvmsg(fd: number, message: Pointer, flags: number): number;
  sendmsg(fd: number, message: Pointer, flags: number): number;
  dup3(fd: number, wanted: number, flags: number): number;
  clone(entry: Pointer, stackTop: Pointer, flags: number, argument: Pointer): number;
  waitpid(pid: number, status: Pointer, options: number): number;
  kill(pid: number, signal: number): number;
  ptrace(request: number, tid: number, address: Pointer, data: Pointer): number;
  pthread_sigmask(how: number, mask: Pointer, former: Pointer): number;
  sigaction(signal: number, wanted: Pointer, former: Pointer): number;
  dlsym(library: Pointer, name: string): number;
  posix_spawn(
    pid: Pointer,
    path: Pointer,
    fileActions: Pointer,
    attributes: Pointer,
    args: Pointer,
    environment: Pointer,
  ): number;
  posix_spawnattr_init(attributes: Pointer): number;
  posix_spawnattr_destroy(attributes: Pointer): number;
  posix_spawnattr_setflags(attributes: Pointer, flags: number): number;
  posix_spawnattr_setsigdefault(attributes: Pointer, signals: Pointer): number;
  posix_spawnattr_setsigmask(attributes: Pointer, signals: Pointer): number;
  posix_spawn_file_actions_init(actions: Pointer): number;
  posix_spawn_file_actions_destroy(actions: Pointer): number;
  posix_spawn_file_actions_adddup2(actions: Pointer, fd: number, wanted: number): number;
  prlimit(pid: number, resource: number, wanted: Pointer, former: Pointer): number;
  sched_getcpu(): number;
  clock_gettime(clock: number, time: Pointer): number;
  getuid(): number;
  geteuid(): number;
  getgid(): number;
  getegid(): number;
  syscall(number: number, a: Pointer, b: Pointer, c: Pointer, d: Pointer, e: Pointer, f: Pointer): number;
  napi_get_uv_event_loop(env: unknown, loop: Pointer): number;
  uv_backend_fd(loop: Pointer): number;
  uv_backend_timeout(loop: Pointer): number;
  uv_update_time(loop: Pointer): void;
}

/**
 * The prototypes. Variadic functions (open, fcntl, ioctl, clone, syscall) are given the arguments we use: on
 * x86-64 a variadic call differs from another only in how floating-point arguments are counted. `void *` takes an
 * address as a number too; size_t and ssize_t results stay under 2^53. The last four are libuv's, which Node
 * exports for add-ons: node-loop.ts says what for.
 */
export const PROTOTYPES: Readonly<Record<keyof Libc, string>> = {
  open: 'int open(const char *, int, uint32_t)',
  close: 'int close(int)',
  read: 'int64_t read(int, void *, size_t)',
  write: 'int64_t write(int, const void *, size_t)',
  pread: 'int64_t pread(int, void *, size_t, int64_t)',
  pwrite: 'int64_t pwrite(int, const void *, size_t, int64_t)',
  fcntl: 'int fcntl(int, int, int64_t)',
  fallocate: 'int fallocate(int, int, int64_t, int64_t)',
  sync_file_range: 'int sync_file_range(int, int64_t, int64_t, unsigned int)',
  posix_fadvise: 'int posix_fadvise(int, int64_t, int64_t, int)',
  ioctl: 'int ioctl(int, uint64_t, void *)',
  poll: 'int poll(void *, uint64_t, int)',
  epoll_create1: 'int epoll_create1(int)',
  epoll_ctl: 'int epoll_ctl(int, int, int, void *)',
  epoll_wait: 'int epoll_wait(int, void *, int, int)',
  eventfd: 'int eventfd(uint32_t, int)',
  mmap: 'int64_t mmap(void *, size_t, int, int, int, int64_t)',
  munmap: 'int munmap(void *, size_t)',
  mprotect: 'int mprotect(void *, size_t, int)',
  mount: 'int mount(const char *, const char *, const char *, uint64_t, const char *)',
  umount2: 'int umount2(const char *, int)',
  socket: 'int socket(int, int, int)',
  socketpair: 'int socketpair(int, int, int, void *)',
  bind: 'int bind(int, const void *, uint32_t)',
  setsockopt: 'int setsockopt(int, int, int, const void *, uint32_t)',
  getsockopt: 'int getsockopt(int, int, int, void *, void *)',
  send: 'int64_t send(int, const void *, size_t, int)',
  recvmsg: 'int64_t recvmsg(int, void *, int)',
  sendmsg: 'int64_t sendmsg(int, const void *, int)',
  dup3: 'int dup3(int, int, int)',
  clone: 'int clone(void *, void *, int, void *)',
  waitpid: 'int waitpid(int, void *, int)',
  kill: 'int kill(int, int)',
  ptrace: 'int64_t ptrace(int64_t, int, void *, void *)',
  pthread_sigmask: 'int pthread_sigmask(int, const void *, void *)',
  sigaction: 'int sigaction(int, const void *, void *)',
  dlsym: 'int64_t dlsym(void *, const char *)',
  posix_spawn:
    'int posix_spawn(void *, const void *, const void *, const void *, const void *, const void *)',
  posix_spawnattr_init: 'int posix_spawnattr_init(void *)',
  posix_spawnattr_destroy: 'int posix_spawnattr_destroy(void *)',
  posix_spawnattr_setflags: 'int posix_spawnattr_setflags(void *, int16_t)',
  posix_spawnattr_setsigdefault: 'int posix_spawnattr_setsigdefault(void *, const void *)',
  posix_spawnattr_setsigmask: 'int posix_spawnattr_setsigmask(void *, const void *)',
  posix_spawn_file_actions_init: 'int posix_spawn_file_actions_init(void *)',
  posix_spawn_file_actions_destroy: 'int posix_spawn_file_actions_destroy(void *)',
  posix_spawn_file_actions_adddup2: 'int posix_spawn_file_actions_adddup2(void *, int, int)',
  prlimit: 'int prlimit(int, int, const void *, void *)',
  sched_getcpu: 'int sched_getcpu()',
  clock_gettime: 'int clock_gettime(int, void *)',
  getuid: 'uint32_t getuid()',
  geteuid: 'uint32_t geteuid()',
  getgid: 'uint32_t getgid()',
  getegid: 'uint32_t getegid()',
  syscall: 'int64_t syscall(int64_t, void *, void *, void *, void *, void *, void *)',
  napi_get_uv_event_loop: 'int napi_get_uv_event_loop(void *, void *)',
  uv_backend_fd: 'int uv_backend_fd(void *)',
  uv_backend_timeout: 'int uv_backend_timeout(void *)',
  uv_update_time: 'void uv_update_time(void *)',
};
