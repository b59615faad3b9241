/**
 * The executor's program: x86-64 machine code, position-independent, that uses system calls and the memory of its
 * arena only; no library, no thread-local storage, no stack. arena.ts has the layout that the offsets below refer to
 * (`rbx` is the control block), executor.ts says why this is not JavaScript.
 *
 * First it leaves the server's table of descriptors for one of its own, in which only `completionFd` and `socketFd` stay
 * open: an executor that cannot be killed must not keep /dev/fuse open, or the server's pipes, once the server is dead.
 *
 * It performs the operations between `completed` and `submitted`, one after another:
 *   1. an operation that `adopts` takes the address space's descriptors out of the socket, for its handle;
 *   2. if a permission is required, it asks for the mapping of every page with PROCMAP_QUERY (Documentation/
 *      filesystems/proc.rst), because a write through /proc/PID/mem ignores write protection;
 *   3. READ: pread until it has all; WRITE: pwrite; STORE_BIT: pread of one byte, pwrite if the bit differs; PROBE:
 *      fstatfs, which asks a file system's server;
 *   4. the result is the count, 0 when the address space is gone, or the negative error number; EBADF when the
 *      descriptors did not arrive.
 * Then it signals `completionFd` if `notify` is set, stays awake for `spins` pauses, and sleeps on `submitted`.
 *
 * Written with an assembler; the test takes the bytes apart with objdump and compares.
 */

/** One instruction: its bytes, and what they mean in Intel's syntax as objdump prints it (jumps by label). */
type Instruction = readonly [bytes: string, mnemonic: string];

/** The instructions after each label, in the order in which they lie in memory. */
export const INSTRUCTIONS: Readonly<Record<string, readonly Instruction[]>> = {
  entry: [
    // once: set up, and end at once if the server is gone already
    ['48 89 fb', 'mov rbx, rdi'], // the control block
    ['b8 9d 00 00 00', 'mov eax, 0x9d'], // prctl(PR_SET_PDEATHSIG, SIGKILL): die with the server
    ['bf 01 00 00 00', 'mov edi, 0x1'],
    ['be 09 00 00 00', 'mov esi, 0x9'],
    ['0f 05', 'syscall'],
    ['b8 9d 00 00 00', 'mov eax, 0x9d'], // prctl(PR_SET_NAME, name): what ps shows
    ['bf 0f 00 00 00', 'mov edi, 0xf'],
    ['48 8d 73 20', 'lea rsi, [rbx+0x20]'],
    ['0f 05', 'syscall'],
    ['b8 6e 00 00 00', 'mov eax, 0x6e'], // getppid(): another's child by now?
    ['0f 05', 'syscall'],
    ['3b 43 10', 'cmp eax, DWORD PTR [rbx+0x10]'], // parentPid
    ['0f 85 0e 02 00 00', 'jne quit'],
    ['4c 8d b3 00 41 00 00', 'lea r14, [rbx+0x4100]'], // r14 walks over the ranges to be closed
    ['44 8b bb 90 41 00 00', 'mov r15d, DWORD PTR [rbx+0x4190]'], // how many there are
  ],
  separate: [
    // leave the table of descriptors that is shared with the server, but for the two that are needed
    ['41 ff cf', 'dec r15d'],
    ['78 1f', 'js begin'],
    ['41 8b 3e', 'mov edi, DWORD PTR [r14]'], // close_range(first, last, flags)
    ['41 8b 76 04', 'mov esi, DWORD PTR [r14+0x4]'],
    ['41 8b 56 08', 'mov edx, DWORD PTR [r14+0x8]'],
    ['b8 b4 01 00 00', 'mov eax, 0x1b4'],
    ['0f 05', 'syscall'],
    ['49 83 c6 0c', 'add r14, 0xc'],
    ['85 c0', 'test eax, eax'],
    ['74 e1', 'je separate'], // without a table of its own it must not go on
    ['e9 dc 01 00 00', 'jmp quit'],
  ],
  begin: [
    ['44 8b 63 04', 'mov r12d, DWORD PTR [rbx+0x4]'], // r12d counts what is completed
  ],
  idle: [
    // wait for work: awake for a while, then in the kernel
    ['8b 4b 14', 'mov ecx, DWORD PTR [rbx+0x14]'], // spins
  ],
  spin: [
    ['44 3b 23', 'cmp r12d, DWORD PTR [rbx]'], // submitted
    ['75 1d', 'jne work'],
    ['f3 90', 'pause'],
    ['ff c9', 'dec ecx'],
    ['79 f5', 'jns spin'],
    ['48 89 df', 'mov rdi, rbx'], // futex(&submitted, FUTEX_WAIT_PRIVATE, completed, no timeout)
    ['be 80 00 00 00', 'mov esi, 0x80'],
    ['44 89 e2', 'mov edx, r12d'],
    ['45 31 d2', 'xor r10d, r10d'],
    ['b8 ca 00 00 00', 'mov eax, 0xca'],
    ['0f 05', 'syscall'],
    ['eb db', 'jmp idle'],
  ],
  work: [
    // the operation of the slot completed % 256
    ['41 0f b6 c4', 'movzx eax, r12b'],
    ['c1 e0 06', 'shl eax, 0x6'], // 64 bytes a slot
    ['4c 8d ac 03 00 01 00 00', 'lea r13, [rbx+rax*1+0x100]'], // r13 is the operation
    ['4d 8b 75 10', 'mov r14, QWORD PTR [r13+0x10]'], // r14 walks from address
    ['41 8b 45 04', 'mov eax, DWORD PTR [r13+0x4]'], // handle
    ['48 8d ac c3 00 42 00 00', 'lea rbp, [rbx+rax*8+0x4200]'], // rbp is where its two descriptors are
    ['41 80 7d 2a 00', 'cmp BYTE PTR [r13+0x2a], 0x0'], // adopts
    ['74 5e', 'je check'],
  ],
  adopt: [
    // take the descriptors that the server passed on, in place of those that the handle had
    ['8b 7d 00', 'mov edi, DWORD PTR [rbp+0x0]'], // close(memFd); EBADF if there is none
    ['b8 03 00 00 00', 'mov eax, 0x3'],
    ['0f 05', 'syscall'],
    ['8b 7d 04', 'mov edi, DWORD PTR [rbp+0x4]'], // close(mapsFd)
    ['b8 03 00 00 00', 'mov eax, 0x3'],
    ['0f 05', 'syscall'],
    ['48 c7 83 50 41 00 00 18 00 00 00', 'mov QWORD PTR [rbx+0x4150], 0x18'], // message.controlBytes
    ['48 c7 83 88 41 00 00 ff ff ff ff', 'mov QWORD PTR [rbx+0x4188], 0xffffffffffffffff'], // both: none
    ['8b bb 24 41 00 00', 'mov edi, DWORD PTR [rbx+0x4124]'], // recvmsg(socketFd, message, MSG_DONTWAIT|MSG_CMSG_CLOEXEC)
    ['48 8d b3 28 41 00 00', 'lea rsi, [rbx+0x4128]'],
    ['ba 40 00 00 40', 'mov edx, 0x40000040'],
    ['b8 2f 00 00 00', 'mov eax, 0x2f'],
    ['0f 05', 'syscall'],
    ['48 8b 83 88 41 00 00', 'mov rax, QWORD PTR [rbx+0x4188]'], // whatever was received belongs to the handle
    ['48 89 45 00', 'mov QWORD PTR [rbp+0x0], rax'],
    ['48 85 c0', 'test rax, rax'], // negative: the second is missing, or both
    ['48 c7 c0 f7 ff ff ff', 'mov rax, 0xfffffffffffffff7'], // EBADF
    ['0f 88 e7 00 00 00', 'js done'],
  ],
  check: [
    // ask for the mapping around r14
    ['41 8b 4d 0c', 'mov ecx, DWORD PTR [r13+0xc]'], // required
    ['85 c9', 'test ecx, ecx'],
    ['74 5c', 'je access'], // no permission is required
    ['4c 89 73 50', 'mov QWORD PTR [rbx+0x50], r14'], // query.query_addr
    ['8b 7d 04', 'mov edi, DWORD PTR [rbp+0x4]'], // mapsFd
    ['be 11 66 68 c0', 'mov esi, 0xc0686611'], // ioctl(mapsFd, PROCMAP_QUERY, query)
    ['48 8d 53 40', 'lea rdx, [rbx+0x40]'],
    ['b8 10 00 00 00', 'mov eax, 0x10'],
    ['0f 05', 'syscall'],
    ['48 85 c0', 'test rax, rax'],
    ['78 23', 'js refused'], // ENOENT: nothing is mapped there; ESRCH: gone
    ['48 c7 c0 f2 ff ff ff', 'mov rax, 0xfffffffffffffff2'], // EFAULT, if it has none of the required ones
    ['41 8b 4d 0c', 'mov ecx, DWORD PTR [r13+0xc]'], // required
    ['85 4b 68', 'test DWORD PTR [rbx+0x68], ecx'], // query.vma_flags
    ['74 13', 'je refused'],
    ['4c 8b 73 60', 'mov r14, QWORD PTR [rbx+0x60]'], // query.vma_end
    ['49 8b 45 10', 'mov rax, QWORD PTR [r13+0x10]'], // address
    ['49 03 45 20', 'add rax, QWORD PTR [r13+0x20]'], // length
    ['49 39 c6', 'cmp r14, rax'],
    ['72 bb', 'jb check'], // the operation reaches into the mapping above
    ['eb 1d', 'jmp access'],
  ],
  refused: [
    // at r14. What a READ may have before it, it gets
    ['41 83 7d 00 00', 'cmp DWORD PTR [r13+0x0], 0x0'], // READ
    ['0f 85 95 00 00 00', 'jne done'],
    ['4d 3b 75 10', 'cmp r14, QWORD PTR [r13+0x10]'], // address: not even the first byte
    ['0f 84 8b 00 00 00', 'je done'],
    ['4d 2b 75 10', 'sub r14, QWORD PTR [r13+0x10]'],
    ['4d 89 75 20', 'mov QWORD PTR [r13+0x20], r14'], // length
  ],
  access: [
    ['41 8b 45 08', 'mov eax, DWORD PTR [r13+0x8]'], // file: 0 or 4
    ['8b 6c 05 00', 'mov ebp, DWORD PTR [rbp+rax*1+0x0]'], // ebp is memFd or mapsFd
    ['45 31 ff', 'xor r15d, r15d'], // r15 counts the bytes that were read
    ['41 83 7d 00 01', 'cmp DWORD PTR [r13+0x0], 0x1'], // WRITE
    ['74 5c', 'je write'],
    ['41 83 7d 00 03', 'cmp DWORD PTR [r13+0x0], 0x3'], // PROBE
    ['0f 84 9f 00 00 00', 'je probe'],
  ],
  read: [
    ['49 8b 55 20', 'mov rdx, QWORD PTR [r13+0x20]'], // length
    ['4c 29 fa', 'sub rdx, r15'],
    ['74 26', 'je fetched'],
    ['49 8b 75 18', 'mov rsi, QWORD PTR [r13+0x18]'], // buffer
    ['4c 01 fe', 'add rsi, r15'],
    ['4d 8b 55 10', 'mov r10, QWORD PTR [r13+0x10]'], // address
    ['4d 01 fa', 'add r10, r15'],
    ['89 ef', 'mov edi, ebp'],
    ['b8 11 00 00 00', 'mov eax, 0x11'], // pread64(fd, buffer, length, address)
    ['0f 05', 'syscall'],
    ['48 85 c0', 'test rax, rax'],
    ['7e 05', 'jle ended'],
    ['49 01 c7', 'add r15, rax'],
    ['eb d6', 'jmp read'],
  ],
  ended: [
    // an error counts if it came first
    ['4d 85 ff', 'test r15, r15'],
    ['74 37', 'je done'],
  ],
  fetched: [
    ['4c 89 f8', 'mov rax, r15'], // the result is the count
    ['41 83 7d 00 02', 'cmp DWORD PTR [r13+0x0], 0x2'], // STORE_BIT
    ['75 2d', 'jne done'],
    ['49 8b 4d 18', 'mov rcx, QWORD PTR [r13+0x18]'], // buffer: the byte that holds the bit
    ['8a 11', 'mov dl, BYTE PTR [rcx]'],
    ['40 88 d6', 'mov sil, dl'],
    ['41 22 55 28', 'and dl, BYTE PTR [r13+0x28]'], // keep: all ones but the bit
    ['41 0a 55 29', 'or dl, BYTE PTR [r13+0x29]'], // put: the bit's value in its place
    ['40 38 f2', 'cmp dl, sil'],
    ['74 17', 'je done'], // it has the value already; the result is 1
    ['88 11', 'mov BYTE PTR [rcx], dl'],
  ],
  write: [
    ['89 ef', 'mov edi, ebp'],
    ['49 8b 75 18', 'mov rsi, QWORD PTR [r13+0x18]'], // buffer
    ['49 8b 55 20', 'mov rdx, QWORD PTR [r13+0x20]'], // length
    ['4d 8b 55 10', 'mov r10, QWORD PTR [r13+0x10]'], // address
    ['b8 12 00 00 00', 'mov eax, 0x12'], // pwrite64(fd, buffer, length, address)
    ['0f 05', 'syscall'],
  ],
  done: [
    ['49 89 45 30', 'mov QWORD PTR [r13+0x30], rax'], // result
    ['41 ff c4', 'inc r12d'],
    ['44 89 63 04', 'mov DWORD PTR [rbx+0x4], r12d'], // completed
    ['44 3b 23', 'cmp r12d, DWORD PTR [rbx]'], // submitted
    ['0f 85 81 fe ff ff', 'jne work'],
    ['31 c0', 'xor eax, eax'],
    ['87 43 08', 'xchg DWORD PTR [rbx+0x8], eax'], // take notify
    ['85 c0', 'test eax, eax'],
    ['0f 84 4f fe ff ff', 'je idle'], // nobody wants to be told
    ['8b 7b 0c', 'mov edi, DWORD PTR [rbx+0xc]'], // completionFd
    ['48 8d 73 18', 'lea rsi, [rbx+0x18]'], // one
    ['ba 08 00 00 00', 'mov edx, 0x8'],
    ['b8 01 00 00 00', 'mov eax, 0x1'], // write(completionFd, &one, 8)
    ['0f 05', 'syscall'],
    ['e9 37 fe ff ff', 'jmp idle'],
  ],
  probe: [
    ['89 ef', 'mov edi, ebp'],
    ['49 8b 75 18', 'mov rsi, QWORD PTR [r13+0x18]'],
    ['b8 8a 00 00 00', 'mov eax, 0x8a'], // fstatfs(fd, buffer): 0 or why not
    ['0f 05', 'syscall'],
    ['eb b8', 'jmp done'],
  ],
  quit: [
    ['31 ff', 'xor edi, edi'],
    ['b8 3c 00 00 00', 'mov eax, 0x3c'], // exit(0)
    ['0f 05', 'syscall'],
  ],
};

/** The program as bytes; it begins at its first. */
export function machineCode(): Uint8Array {
  const instructions = Object.values(INSTRUCTIONS).flat();
  return Uint8Array.from(
    instructions.flatMap(([bytes]) => bytes.split(' ').map((byte) => Number.parseInt(byte, 16))),
  );
}
