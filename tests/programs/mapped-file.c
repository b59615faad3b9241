/* Maps a file for execution, says so, and waits to be killed. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct stat status;
	int file = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	if (file < 0 || fstat(file, &status) != 0)
		return 1;
	if (mmap(0, (size_t)status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED)
		return 1;
	if (write(1, "mapped\n", 7) != 7)
		return 1;
	alarm(300);
	pause();
	return 0;
}
