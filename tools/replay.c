/* Runs the target of fuzz/ that it is linked with over files, where there is no libFuzzer: for other processors. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 24 };

int main(int argc, char **argv)
{
	static uint8_t data[LARGEST];
	int i;

	LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");

		if (!file) {
			perror(argv[i]);
			return 1;
		}
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
		fclose(file);
	}
	printf("%d files\n", argc - 1);
	return 0;
}
