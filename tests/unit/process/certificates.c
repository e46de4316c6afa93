/* SPDX-License-Identifier: BSD-2-Clause */
/* What is told of certificates: when the log hears that one expires, and what a reader of the shared memory may believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "process/certificates.h"
#include "process/keepsake.h"
#include "settings/snapshot.h"
#include "settings/tls.h"

#define DAY INT64_C(86400)

static void stages_rise_as_the_end_comes_near(void **state)
{
	(void)state;
	static const struct {
		int64_t lifetime, left;
		bool obtained;
		int stage;
	} rows[] = {
		{90 * DAY, 89 * DAY, false, 0},
		{90 * DAY, 30 * DAY + 1, false, 0},
		{90 * DAY, 30 * DAY, false, 1},
		{90 * DAY, 15 * DAY, false, 1},
		{90 * DAY, 14 * DAY, false, 2},
		{90 * DAY, 7 * DAY + 1, false, 2},
		{90 * DAY, 7 * DAY, false, 3},
		{90 * DAY, 6 * DAY, false, 4},
		{90 * DAY, DAY, false, 9},
		{90 * DAY, DAY - 1, false, 10},
		{90 * DAY, 0, false, 10},
		{90 * DAY, -1, false, 11},
		{90 * DAY, -DAY, false, 11},
		{90 * DAY, -DAY - 1, false, 12},
		/* of weir's own: only when it was not renewed in time */
		{90 * DAY, 20 * DAY, true, 0},
		{90 * DAY, 7 * DAY, true, 3},
		/* short-lived ones are not told of all their life */
		{6 * DAY, 5 * DAY, false, 0},
		{6 * DAY, 2 * DAY, false, 8},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(
			certificates_stage(rows[i].lifetime, rows[i].left, rows[i].obtained),
			rows[i].stage);
}

static void an_empty_list(void **state)
{
	struct snapshot snapshot = {.tls_count = 0};
	struct certificate_row row;
	(void)state;
	int fd = certificates_make(&snapshot);
	assert_true(fd >= 0);
	struct certificates *list = certificates_map(fd, true);
	assert_non_null(list);
	certificates_write(list, NULL);
	assert_int_equal(certificates_count(list), 0);
	assert_false(certificates_read(list, 0, &row));
	certificates_unmap(list);
	close(fd);
}

/* A worker may write what it likes: the reader keeps within its mapping, and puts no controls on a terminal. */
static void a_liar_is_not_believed(void **state)
{
	struct tls_settings tls = {.pair_count = 2};
	struct snapshot snapshot = {.tls = &tls, .tls_count = 1};
	struct certificate_row row;
	(void)state;
	int fd = certificates_make(&snapshot);
	struct certificates *list = certificates_map(fd, false);
	size_t size = (size_t)lseek(fd, 0, SEEK_END);
	char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(list && bytes != MAP_FAILED);
	uint32_t count = UINT32_MAX;
	memcpy(bytes + 12, &count, sizeof(count));
	memset(bytes + 16, 0x1b, size - 16);
	assert_int_equal(certificates_count(list), 2);
	assert_true(certificates_read(list, 1, &row));
	assert_int_equal(strlen(row.names), sizeof(row.names) - 1);
	assert_null(strchr(row.names, 0x1b));
	assert_null(strchr(row.issuer, 0x1b));
	uint32_t odd = 7;
	memcpy(bytes + 8, &odd, sizeof(odd));
	assert_false(certificates_read(list, 1, &row));
	/* another size than it says: told before, and later it is not asked again */
	uint32_t capacity = 3;
	memcpy(bytes + 4, &capacity, sizeof(capacity));
	assert_int_equal(certificates_count(list), 2);
	certificates_unmap(list);
	assert_null(certificates_map(fd, false));
	munmap(bytes, size);
	close(fd);
	fd = keepsake_share("other", 8);
	assert_null(certificates_map(fd, false));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stages_rise_as_the_end_comes_near),
		cmocka_unit_test(an_empty_list),
		cmocka_unit_test(a_liar_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
