/*
 * Runs generated code with sets of numbers: reads the code and the sets from standard input, calls the code with the address of each
 * set in rdi, and writes a byte for each: what the code returned.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
	uint64_t sizes[3]; /* bytes of code, sets, numbers of a set */
	uint64_t numbers[64];
	int (*code)(const uint64_t *);
	void *at;

	if (fread(sizes, sizeof(sizes), 1, stdin) != 1 || sizes[0] > 65536 || sizes[2] > 64)
		return 1;
	at = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || fread(at, 1, sizes[0], stdin) != sizes[0])
		return 1;
	code = (int (*)(const uint64_t *))at;
	for (uint64_t set = 0; set < sizes[1]; set++) {
		if (fread(numbers, 8, sizes[2], stdin) != sizes[2])
			return 1;
		putchar(code(numbers));
	}
	return 0;
}
