/*
 * Runs machine code twice, in its place and as a relocated copy, from the same registers and memory, and tells what
 * became of both. Each case comes on standard input and its two outcomes go to standard output, as the structures
 * below. Both runs start and end by a signal: the handler sets all registers from the case, and takes them when the
 * code has come to a breakpoint or a fault.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define ORIGINAL 0x20000000ul
#define RELOCATED 0x50000000ul
#define DATA 0x30000000ul
#define STACK 0x40000000ul
#define REGION 0x10000ul
#define CODE_MAX 512
#define COPY_MAX 2048
/* Registers that may point to data point into its middle. */
#define POINTER (DATA + REGION / 2)

struct test_case {
	uint64_t seed;
	uint64_t gregs[16]; /* r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, as in gregset_t */
	uint64_t flags;
	uint64_t top[2];  /* what the stack pointer points to */
	uint64_t slot[2]; /* what stands at POINTER */
	uint64_t stack_from; /* the stack is compared from here on, a multiple of 8 */
	uint32_t original_size;
	uint32_t relocated_size;
	uint8_t original[CODE_MAX];
	uint8_t relocated[COPY_MAX];
};

struct outcome {
	uint64_t signal;
	uint64_t ip;
	uint64_t gregs[16];
	uint64_t flags;
	uint64_t xmm[32];
	uint64_t data_hash;
	uint64_t stack_hash;
};

static struct test_case *current;
static struct outcome *outcome;
static ucontext_t resume;
static volatile int is_running;
static uint64_t start_at;
/* All floating-point and vector state, as the first signal found it. */
static uint8_t *vector_state;

/* What the kernel says of the state's size behind its first 512 bytes (struct _fpx_sw_bytes). */
static size_t vector_state_size(const void *state)
{
	const uint32_t *software = (const uint32_t *)((const uint8_t *)state + 464);

	return software[0] == 0x46505853 ? software[1] : 512;
}

static uint8_t *template;

static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ul);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return z ^ (z >> 31);
}

static uint64_t hash(const uint64_t *words, size_t count)
{
	uint64_t h = 14695981039346656037ul;
	for (size_t i = 0; i < count; i++)
		h = (h ^ words[i]) * 1099511628211ul, h ^= h >> 29;
	return h;
}

static void handle(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *gregs = uc->uc_mcontext.gregs;

	(void)info;
	if (!is_running) {
		uint64_t state = current->seed ^ 0x5555;
		memcpy(&resume, uc, sizeof(resume));
		if (!vector_state) {
			vector_state = malloc(vector_state_size(uc->uc_mcontext.fpregs));
			memcpy(vector_state, uc->uc_mcontext.fpregs, vector_state_size(uc->uc_mcontext.fpregs));
		}
		/* The kernel may lay out less than all of it: what it lays out is what it takes back. */
		if (vector_state_size(uc->uc_mcontext.fpregs) == vector_state_size(vector_state))
			memcpy(uc->uc_mcontext.fpregs, vector_state, vector_state_size(vector_state));
		for (int i = 0; i < 16; i++)
			gregs[i] = (greg_t)current->gregs[i];
		gregs[REG_RIP] = (greg_t)start_at;
		gregs[REG_EFL] = (greg_t)current->flags;
		for (int i = 0; i < 32; i++)
			((uint64_t *)uc->uc_mcontext.fpregs->_xmm)[i] = mix(&state);
		is_running = 1;
		return;
	}
	is_running = 0;
	outcome->signal = (uint64_t)signal;
	outcome->ip = (uint64_t)gregs[REG_RIP];
	for (int i = 0; i < 16; i++)
		outcome->gregs[i] = (uint64_t)gregs[i];
	outcome->flags = (uint64_t)gregs[REG_EFL] & 0xcd5;
	memcpy(outcome->xmm, uc->uc_mcontext.fpregs->_xmm, sizeof(outcome->xmm));
	memcpy(gregs, resume.uc_mcontext.gregs, sizeof(resume.uc_mcontext.gregs));
	if (vector_state_size(uc->uc_mcontext.fpregs) == vector_state_size(vector_state))
		memcpy(uc->uc_mcontext.fpregs, vector_state, vector_state_size(vector_state));
}

static void *region(uint64_t address, int protection)
{
	void *at = mmap((void *)address, REGION, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)address)
		perror("mmap"), exit(1);
	return at;
}

static void run(uint64_t start, struct outcome *into)
{
	uint64_t *data = (uint64_t *)DATA, *stack = (uint64_t *)STACK;

	/* Whatever is not the code under test is a breakpoint: that is where it ends. It may have been written to. */
	memset((void *)ORIGINAL, 0xcc, REGION);
	memset((void *)RELOCATED, 0xcc, REGION);
	memcpy((void *)(ORIGINAL + 1024), current->original, current->original_size);
	memcpy((void *)(RELOCATED + 1024), current->relocated, current->relocated_size);
	memcpy(data, template, REGION);
	memcpy(stack, template, REGION);
	memcpy((void *)POINTER, current->slot, sizeof(current->slot));
	memcpy((void *)(uintptr_t)current->gregs[REG_RSP], current->top, sizeof(current->top));
	outcome = into;
	start_at = start;
	__asm__ volatile("int3" ::: "memory", "cc");
	into->data_hash = hash(data, REGION / 8);
	into->stack_hash = hash((uint64_t *)current->stack_from, (STACK + REGION - current->stack_from) / 8);
}

static int get(void *to, size_t size)
{
	return fread(to, 1, size, stdin) == size;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	stack_t alternate = { .ss_sp = malloc(1 << 18), .ss_size = 1 << 18 };
	struct test_case test;
	struct outcome outcomes[2];
	uint64_t state = 1;

	region(ORIGINAL, PROT_READ | PROT_WRITE | PROT_EXEC);
	region(RELOCATED, PROT_READ | PROT_WRITE | PROT_EXEC);

	region(DATA, PROT_READ | PROT_WRITE);
	region(STACK, PROT_READ | PROT_WRITE);
	template = malloc(REGION);
	for (size_t i = 0; i < REGION / 8; i++)
		((uint64_t *)template)[i] = mix(&state);
	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	current = &test;
	while (get(&test, sizeof(test))) {
		memset(outcomes, 0, sizeof(outcomes));
		/* A loop that never ends ends the program, which the test notices. */
		alarm(10);
		run(ORIGINAL + 1024, &outcomes[0]);
		run(RELOCATED + 1024, &outcomes[1]);
		if (fwrite(outcomes, sizeof(outcomes), 1, stdout) != 1)
			return 1;
	}
	return 0;
}
