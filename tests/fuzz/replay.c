/* SPDX-License-Identifier: BSD-2-Clause */
/* The main of a fuzz target in `make check`: gives it every seed under tests/fuzz/seeds/NAME, the empty input, and
 * each seed cut at every power of two, and says so in TAP. A crash is a failure of the test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_LIMIT = 1 << 20 };

/* The bytes are given in a block of exactly their size, so that a sanitizer sees any read beyond them. */
static void feed(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size != 0 ? size : 1);

	if (copy == NULL)
		abort();
	if (size != 0)
		memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

/* 0, or -1 where the file cannot be read. */
static int replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t size;

	if (file == NULL)
		return -1;
	bytes = malloc(SEED_LIMIT);
	if (bytes == NULL)
		abort();
	size = fread(bytes, 1, SEED_LIMIT, file);
	fclose(file);
	for (size_t cut = 1; cut < size; cut *= 2)
		feed(bytes, cut);
	feed(bytes, size);
	free(bytes);
	return 0;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	const char *base = getenv("WEIR_SRCDIR"), *name = strrchr(argv[0], '/');
	struct dirent **entries;
	char folder[4096], path[8192];
	int count, failed = 0;

	(void)argc;
	snprintf(folder, sizeof folder, "%s/tests/fuzz/seeds/%s", base != NULL ? base : ".",
		name != NULL ? name + 1 : argv[0]);
	count = scandir(folder, &entries, is_seed, alphasort);
	if (count < 0)
		count = 0;
	printf("1..%d\n", count + 1);
	feed(NULL, 0);
	printf("ok 1 - the empty input\n");
	for (int i = 0; i < count; i++) {
		int result;

		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		fflush(stdout);
		result = replay(path);
		printf("%s %d - %s\n", result == 0 ? "ok" : "not ok", i + 2, entries[i]->d_name);
		failed |= result;
		free(entries[i]);
	}
	if (count > 0)
		free(entries);
	return failed != 0;
}
