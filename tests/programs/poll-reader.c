/*
 * Waits for a file with poll(2) and copies what it then reads, once.
 *
 *   poll-reader FILE
 *
 * Prints "waiting", then "readable" or the other poll events, then the bytes.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char bytes[4096];
	if (argc != 2) return fputs("usage: poll-reader FILE\n", stderr), 2;
	struct pollfd file = { .fd = open(argv[1], O_RDONLY | O_NONBLOCK), .events = POLLIN };
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (file.fd < 0) return perror(argv[1]), 1;
	printf("waiting\n");
	if (poll(&file, 1, -1) != 1) return perror("poll"), 1;
	if (file.revents & POLLIN) printf("readable\n");
	else printf("revents %x\n", file.revents);
	ssize_t got = read(file.fd, bytes, sizeof bytes);
	return got < 0 ? (perror("read"), 1) : fwrite(bytes, 1, got, stdout) != (size_t)got;
}
