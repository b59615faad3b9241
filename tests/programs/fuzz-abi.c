/*
 * Malformed ioctls, command texts and writes on user_events_data.
 *
 *   fuzz-abi ROOT SEED RUNS
 *
 * Every call must answer: an alarm ends the program (SIGALRM) when one hangs. Memory around the words must stay as it
 * is. At the end a sound registration must work. Prints how often each answer came; exits 1 when a rule was broken.
 */
#define _GNU_SOURCE
#include "user-events-abi.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, FILES = 4, MAX_ERRNO = 4096, HANG_S = 10, WORDS = 64 };

static uint32_t state;
static int files[FILES];
static uint8_t *page;   /* user structures end at its end: a read past them faults */
static uint64_t *words; /* what may be registered: on a page of its own */
static uint8_t *guard;  /* the page after the words, never registered */
static long answers[MAX_ERRNO];

static uint32_t below(uint32_t limit) /* xorshift32, as in tests/fuzz/random.ts */
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % limit;
}

static uint64_t number(void)
{
	static const uint64_t edges[] = {
		0, 1, 3, 4, 8, 27, 28, 31, 32, 63, 64, 255, 4095, 4096, 65535, 0x7fffffff, 0xffffffff,
		0x7fffffffffff, 0x800000000000, 0xffff888000000000, ~0ULL,
	};
	if (below(2)) return edges[below(sizeof edges / sizeof *edges)];
	return (uint64_t)below(~0u) << 32 | below(~0u);
}

static void command_text(char *text, size_t room)
{
	static const char *const pieces[] = {
		"ev", "ev2", "e-v", " ", " ", ";", "; ", "u32", "u64", "s8", "char[16]", "char", "unsigned", "struct", "int",
		"__rel_loc", "__data_loc", "char[]", "[", "]", "a", "b1", "20", "1024", "1025", "-1", "99999999999", ":", "\n",
		"\t", "!", "\x80\xff", "const", "u8[4]", "my_struct", "0x10", ".", "u:", "*",
	};
	size_t used = 0;
	if (below(8)) used = snprintf(text, room, "ev%u%s", below(200), below(2) ? " u32 a" : "");
	for (int count = below(6); count > 0 && used < room; count--)
		used += snprintf(text + used, room - used, "%s", pieces[below(sizeof pieces / sizeof *pieces)]);
	if (below(50) == 0) {
		memset(text, 'e' + below(3), room - 1);
		text[room - 1] = 0;
	}
}

static uint64_t word_address(void)
{
	if (below(8) == 0) return number();
	return (uintptr_t)&words[below(WORDS)] + (below(8) ? 0 : below(8));
}

static void count(long ret)
{
	int code = ret < 0 ? errno : 0;
	answers[code < MAX_ERRNO ? code : MAX_ERRNO - 1]++;
}

/* The structure lies at the end of what can be read, and now and then partly beyond it. */
static void *place(const void *bytes, size_t size)
{
	uint8_t *at = page + PAGE - (below(16) ? size : below(size + 1));
	memcpy(at, bytes, page + PAGE - at < (long)size ? (size_t)(page + PAGE - at) : size);
	return at;
}

static void fuzz_register(int file)
{
	char text[700];
	command_text(text, below(4) ? 200 : sizeof text);
	struct user_reg request = {
		.size = below(8) ? sizeof request : (uint32_t)number(),
		.enable_bit = below(8) ? below(32) : number(),
		.enable_size = below(8) ? (below(2) ? 4 : 8) : number(),
		.flags = below(4) ? 0 : (below(4) ? below(4) : number()),
		.enable_addr = word_address(),
		.name_args = below(16) ? (uintptr_t)text : number(),
	};
	count(ioctl(file, DIAG_IOCSREG, place(&request, sizeof request)));
}

static void fuzz_unregister(int file)
{
	struct user_unreg request = {
		.size = below(8) ? sizeof request : (uint32_t)number(),
		.disable_bit = below(8) ? below(32) : number(),
		.reserved = below(8) ? 0 : number(),
		.reserved2 = below(8) ? 0 : number(),
		.disable_addr = word_address(),
	};
	count(ioctl(file, DIAG_IOCSUNREG, place(&request, sizeof request)));
}

static void fuzz_delete(int file)
{
	char text[700];
	command_text(text, sizeof text);
	count(ioctl(file, DIAG_IOCSDEL, below(8) ? text : (void *)(uintptr_t)number()));
}

static void fuzz_write(int file)
{
	static uint8_t bytes[70000];
	size_t size = below(8) ? below(200) : below(sizeof bytes);
	int32_t index = below(4) ? (int32_t)below(40) : (int32_t)number();
	for (size_t i = 0; i < size && i < 64; i++) bytes[i] = below(256);
	if (size >= 4) memcpy(bytes, &index, 4);
	count(write(file, bytes, size));
}

static void fuzz_other(int file)
{
	switch (below(4)) {
	case 0: count(ioctl(file, number(), number())); break;
	case 1: count(ioctl(file, _IOC(below(4), '*', below(256), below(64)), place(words, 64))); break;
	case 2: count(read(file, page, below(PAGE))); break;
	default: count(lseek(file, number(), below(3)));
	}
}

/* The words are the server's to change, one bit each; nothing else is. */
static int is_guard_whole(void)
{
	for (int i = 0; i < PAGE; i++)
		if (guard[i] != 0x5a) return 0;
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 4) return fputs("usage: fuzz-abi ROOT SEED RUNS\n", stderr), 2;
	state = strtoul(argv[2], NULL, 0);
	if (state == 0) state = 1;
	long runs = atol(argv[3]);

	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + PAGE, PAGE, PROT_NONE);
	words = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guard = (uint8_t *)words + PAGE;
	memset(guard, 0x5a, PAGE);
	for (int i = 0; i < FILES; i++)
		if ((files[i] = open_user_events(argv[1])) < 0) fail("open user_events_data");

	for (long run = 0; run < runs; run++) {
		int *file = &files[below(FILES)];
		alarm(HANG_S);
		switch (below(16)) {
		case 0: case 1: case 2: case 3: case 4: case 5: fuzz_register(*file); break;
		case 6: case 7: case 8: fuzz_unregister(*file); break;
		case 9: fuzz_delete(*file); break;
		case 10: case 11: case 12: case 13: fuzz_write(*file); break;
		case 14: fuzz_other(*file); break;
		default:
			if (below(16)) break;
			close(*file);
			if ((*file = open_user_events(argv[1])) < 0) fail("reopen");
		}
		if (answers[ENOTCONN] || answers[ECONNABORTED])
			return fprintf(stderr, "the server died at call %ld with --seed %s\n", run, argv[2]), 1;
	}
	alarm(0);
	if (!is_guard_whole()) return fputs("memory that was never registered has changed\n", stderr), 1;

	uint32_t *word = (uint32_t *)page;
	*word = 0;
	if (register_event(files[0], word, 31, "sound_after_fuzz u32 a") < 0) fail("a sound registration");
	if (unregister_event(files[0], word, 31)) fail("a sound unregistration");
	for (int code = 0; code < MAX_ERRNO; code++)
		if (answers[code]) printf("%s %ld\n", code ? strerrorname_np(code) : "ok", answers[code]);
	return 0;
}
