/*
 * Calls generated code with pointers into memory that comes and goes.
 *
 * Standard input: how many segments, the function, the arena's address and pages, how many threads change the arena meanwhile, how many
 * rounds of all cases, how many cases, the address and size of what is written out; each segment's address, size and bytes; the arena's bytes; a state
 * for each of its pages; the cases, two numbers each. Standard output: for each case how many bytes from its first number on
 * the kernel says can be read, up to two pages; then the memory.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_MAX = 256, CASES_MAX = 65536, THREADS_MAX = 8, WINDOW = 2 * PAGE };
enum state { STAYS, GONE, FORBIDDEN, COMES_AND_GOES };

struct plan {
	uint64_t segments, function, arena, pages, changers, rounds, cases, dump_address, dump_size;
};

static struct plan plan;
static unsigned char states[PAGES_MAX];
static uint64_t cases[CASES_MAX][2];
static int file;
static int is_done;

static int get(void *to, size_t size)
{
	return fread(to, 1, size, stdin) == size;
}

static int map_page(uint64_t page, int protection)
{
	void *at = (void *)(plan.arena + page * PAGE);

	return mmap(at, PAGE, protection, MAP_PRIVATE | MAP_FIXED, file, (off_t)(page * PAGE)) == at;
}

static void *change(void *argument)
{
	uint64_t random = (uint64_t)(uintptr_t)argument;

	while (!__atomic_load_n(&is_done, __ATOMIC_RELAXED)) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint64_t page = (random >> 33) % plan.pages;

		if (states[page] != COMES_AND_GOES)
			continue;
		if (random >> 62 == 0)
			munmap((void *)(plan.arena + page * PAGE), PAGE);
		else if (!map_page(page, random >> 62 == 1 ? PROT_NONE : PROT_READ))
			abort();
	}
	return NULL;
}

/* Page by page, since the kernel tells of nothing in a part that it cannot read whole. */
static uint64_t readable(uint64_t from)
{
	static char bytes[WINDOW];
	uint64_t at = from;

	while (at < from + WINDOW) {
		uint64_t size = PAGE - at % PAGE;
		struct iovec here = { bytes, size }, there = { (void *)at, size };

		if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)size)
			break;
		at += size;
	}
	return at - from;
}

int main(void)
{
	pthread_t threads[THREADS_MAX];

	if (!get(&plan, sizeof(plan)) || plan.pages > PAGES_MAX || plan.cases > CASES_MAX || plan.changers > THREADS_MAX)
		return 1;
	for (uint64_t i = 0; i < plan.segments; i++) {
		uint64_t segment[3];
		void *at;

		if (!get(segment, sizeof(segment)))
			return 1;
		at = mmap((void *)segment[0], segment[1], PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (at != (void *)segment[0] || !get(at, segment[2]))
			return 1;
	}
	file = memfd_create("arena", 0);
	for (uint64_t i = 0; i < plan.pages; i++) {
		char page[PAGE];

		if (!get(page, PAGE) || write(file, page, PAGE) != PAGE)
			return 1;
	}
	if (!get(states, plan.pages) || !get(cases, plan.cases * sizeof(cases[0])))
		return 1;
	for (uint64_t i = 0; i < plan.pages; i++)
		if (states[i] != GONE && !map_page(i, states[i] == FORBIDDEN ? PROT_NONE : PROT_READ))
			return 1;
	for (uint64_t i = 0; i < plan.cases; i++) {
		uint64_t bytes = readable(cases[i][0]);

		if (fwrite(&bytes, sizeof(bytes), 1, stdout) != 1)
			return 1;
	}
	for (uint64_t i = 0; i < plan.changers; i++)
		pthread_create(&threads[i], NULL, change, (void *)(uintptr_t)(i + 1));
	for (uint64_t i = 0; i < plan.rounds * plan.cases; i++) {
		uint64_t *one = cases[i % plan.cases];
		uint64_t (*function)(uint64_t, uint64_t) = (void *)(uintptr_t)plan.function;

		if (function(one[0], one[1]) != one[0] + one[1] + 7)
			return 2;
	}
	__atomic_store_n(&is_done, 1, __ATOMIC_RELAXED);
	for (uint64_t i = 0; i < plan.changers; i++)
		pthread_join(threads[i], NULL);
	fwrite((void *)plan.dump_address, 1, plan.dump_size, stdout);
	return 0;
}
