/*
 * A parent that waits in vfork until its child is told to go on.
 *
 *   vfork-waiter
 *
 * Each line of input calls vfork_work() and makes a child; that calls it as well, prints "child PID" and waits for another line. Then the parent
 * prints "parent". Ends with the input.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) long vfork_work(long number)
{
	__asm__ volatile("" : "+r"(number));
	return number * 3 + 1;
}

static int read_line(void)
{
	char byte;
	while (read(0, &byte, 1) == 1)
		if (byte == '\n') return 1;
	return 0;
}

int main(void)
{
	char text[40];
	setvbuf(stdout, NULL, _IONBF, 0);
	for (long number = 0; read_line(); number++) {
		vfork_work(number);
		pid_t child = vfork();
		if (child == 0) {
			vfork_work(number);
			int length = snprintf(text, sizeof text, "child %d\n", getpid());
			if (write(1, text, length) != length) _exit(1);
			read_line();
			_exit(0);
		}
		waitpid(child, NULL, 0);
		puts("parent");
	}
	return 0;
}
