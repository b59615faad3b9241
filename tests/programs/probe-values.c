/*
 * Calls a function with values of all kinds that a probe can fetch: numbers of all sizes and signs, texts that are short, empty, not
 * ASCII, long, too long, at the end of mapped memory, and missing, arrays, and pointers to nothing and to the last bytes of memory.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A text whose record just fits a page, and one that has no end in MAX_STRING_SIZE. */
enum { LONG = 3990, TOO_LONG = 4096 };

struct values {
	signed char tiny;
	short small;
	int medium;
	long large;
	const char *texts[3];
	unsigned char bytes[4];
	char text[16];
	unsigned bits;
};

__attribute__((noinline, noclone, visibility("default"))) long probed_values(long number, const char *text,
									     const struct values *values,
									     const void *bad)
{
	__asm__ volatile("" : : "r"(text), "r"(values), "r"(bad) : "memory");
	return number * 2;
}

int main(void)
{
	struct values values = { -5, -300, -70000, -5000000000, { "one", "two", NULL }, { 1, 2, 3, 255 }, "hello", 0xdeadbeef };
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = malloc(TOO_LONG + 1);
	long sum = 0;

	if (heap == NULL || page == MAP_FAILED || munmap(page + 4096, 4096) != 0)
		return 1;
	memset(page + 4000, 'y', 96);
	memset(heap, 'z', TOO_LONG);
	heap[TOO_LONG] = 0;
	for (long round = 0; round < 20; round++) {
		values.tiny += (signed char)round;
		values.bits = values.bits * 5 + (unsigned)round;
		sum += probed_values(-round, "text", &values, (const void *)8);
		sum += probed_values(round, "", &values, page + 4090);
		sum += probed_values(round << 33, "non\xc3\xa9\x01 ASCII", &values, NULL);
		page[4095] = 0;
		sum += probed_values(round, page + 4000, &values, page + 4095);
		page[4095] = 'y';
		/* 3 to 3803 bytes. */
		sum += probed_values(round, heap + TOO_LONG - 3 - 200 * round, &values, page + 4096 - round % 9);
		sum += probed_values(round, "", &values, heap + round % 2 * (TOO_LONG - LONG));
	}
	return sum == 1 ? 1 : 0;
}
