/* SPDX-License-Identifier: BSD-2-Clause */
/* http/field: the perfect hash of known names, and lists. */
#include "http/field.h"

#include <stdio.h>
#include <stdlib.h>

#include "http_test.h"

#define NAME(id, name, lower) #id,
static const char *const ids[FIELD_COUNT] = {"OTHER", FIELD_LIST(NAME)};
#undef NAME

static uint32_t key_of(struct slice name)
{
	return (uint32_t)name.len | ((unsigned char)name.ptr[0] | 0x20u) << 8 |
	       ((unsigned char)name.ptr[name.len / 2] | 0x20u) << 16 |
	       ((unsigned char)name.ptr[name.len - 1] | 0x20u) << 24;
}

/* Prints what field.c must say when FIELD_LIST has changed. */
static void find_multiplier(void)
{
	enum field_id slots[256];
	unsigned seed = 1;
	for (unsigned tries = 0; tries < 10000000; tries++) {
		uint32_t multiplier = (uint32_t)rand_r(&seed) * 2654435761u | 1;
		unsigned id = 1;
		memset(slots, 0, sizeof(slots));
		for (; id < FIELD_COUNT; id++) {
			unsigned slot = key_of(field_known_name(id)) * multiplier >> 24;
			if (slots[slot])
				break;
			slots[slot] = id;
		}
		if (id < FIELD_COUNT)
			continue;
		printf("# #define HASH_MULTIPLIER 0x%08xu\n", multiplier);
		for (unsigned i = 0; i < 256; i++)
			if (slots[i])
				printf("# \t[%u] = FIELD_%s,\n", i, ids[slots[i]]);
		return;
	}
}

/* RFC 9110, 5.1: names in any case. */
static void known_names(void **state)
{
	(void)state;
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		struct slice name = field_known_name(id);
		char upper[64], lower[64];
		for (size_t i = 0; i < name.len; i++) {
			char c = name.ptr[i];
			upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
			lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		}
		if (field_identify(name) != id)
			find_multiplier();
		assert_number(field_identify(name), id, ids[id]);
		assert_number(field_identify((struct slice){upper, name.len}), id, ids[id]);
		assert_number(field_identify((struct slice){lower, name.len}), id, ids[id]);
		assert_int_equal(strlen(name.ptr), name.len);
	}
}

/* One octet changed, added or left out makes another name: no octet but a letter's case is passed
 * over. */
static void unknown_names(void **state)
{
	(void)state;
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		struct slice name = field_known_name(id);
		char other[64];
		for (size_t at = 0; at < name.len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				memcpy(other, name.ptr, name.len);
				other[at] = (char)c;
				bool same = strncasecmp(other, name.ptr, name.len) == 0;
				enum field_id got = field_identify((struct slice){other, name.len});
				if (same != (got == id))
					fail_msg("%s with 0x%02x at %zu", name.ptr, c, at);
			}
		}
		memcpy(other, name.ptr, name.len);
		other[name.len] = 'x';
		assert_int_equal(field_identify((struct slice){other, name.len + 1}), FIELD_OTHER);
	}
	assert_int_equal(field_identify(SLICE("")), FIELD_OTHER);
	assert_int_equal(field_identify(SLICE("Content_Length")), FIELD_OTHER);
	assert_int_equal(
		field_identify(SLICE("A-Name-That-Is-Longer-Than-All-Others")), FIELD_OTHER);
}

static void list_of_fields(void **state)
{
	(void)state;
	struct arena arena;
	struct fields fields = {0};
	arena_init(&arena, NULL, 0);
	assert_null(fields_find(&fields, FIELD_HOST));
	for (unsigned i = 0; i < 50; i++)
		fields_add_named(&fields, &arena, SLICE("X-Many"), SLICE("v"));
	fields_add(&fields, &arena, FIELD_HOST, SLICE("a"));
	fields_add_named(&fields, &arena, SLICE("via"), SLICE("1"));
	fields_add_named(&fields, &arena, SLICE("VIA"), SLICE("2"));
	assert_int_equal(fields.count, 53);
	assert_slice(fields_find(&fields, FIELD_HOST)->name, "Host");
	assert_slice(fields_find(&fields, FIELD_VIA)->value, "1");
	assert_int_equal(fields_count(&fields, FIELD_VIA), 2);
	assert_slice(fields_find_named(&fields, SLICE("x-many"))->value, "v");
	fields_remove_named(&fields, SLICE("x-MANY"));
	assert_int_equal(fields.count, 3);
	fields_set(&fields, &arena, FIELD_VIA, SLICE("3"));
	assert_int_equal(fields_count(&fields, FIELD_VIA), 1);
	assert_slice(fields_find(&fields, FIELD_VIA)->value, "3");
	fields_remove(&fields, FIELD_HOST);
	assert_null(fields_find(&fields, FIELD_HOST));
	assert_int_equal(fields.count, 1);
	arena_reset(&arena);
}

/* RFC 9110, 5.3. */
static void joined(void **state)
{
	(void)state;
	struct arena arena;
	struct fields fields = {0};
	const char *value = "gzip";
	arena_init(&arena, NULL, 0);
	assert_null(fields_joined(&fields, &arena, FIELD_VIA).ptr);
	fields_add(&fields, &arena, FIELD_ACCEPT_ENCODING, slice_of(value));
	assert_ptr_equal(fields_joined(&fields, &arena, FIELD_ACCEPT_ENCODING).ptr, value);
	fields_add(&fields, &arena, FIELD_HOST, SLICE("a"));
	fields_add(&fields, &arena, FIELD_ACCEPT_ENCODING, SLICE("br"));
	assert_slice(fields_joined(&fields, &arena, FIELD_ACCEPT_ENCODING), "gzip, br");
	arena_reset(&arena);
}

static void tokens_in_lists(void **state)
{
	(void)state;
	struct arena arena;
	struct fields fields = {0};
	arena_init(&arena, NULL, 0);
	fields_add(&fields, &arena, FIELD_CONNECTION, SLICE("keep-alive, x"));
	fields_add(&fields, &arena, FIELD_CONNECTION, SLICE(" , CLOSE"));
	assert_true(fields_have_token(&fields, FIELD_CONNECTION, SLICE("close")));
	assert_true(fields_have_token(&fields, FIELD_CONNECTION, SLICE("Keep-Alive")));
	assert_false(fields_have_token(&fields, FIELD_CONNECTION, SLICE("keep")));
	assert_false(fields_have_token(&fields, FIELD_VIA, SLICE("close")));
	arena_reset(&arena);
}

/* RFC 9110, 12.5.5: each name once, "*" for all. */
static void vary(void **state)
{
	(void)state;
	struct arena arena;
	struct fields fields = {0};
	arena_init(&arena, NULL, 0);
	fields_vary(&fields, &arena, SLICE(""));
	assert_int_equal(fields.count, 0);
	fields_vary(&fields, &arena, SLICE("Accept, Cookie, accept"));
	assert_slice(fields_joined(&fields, &arena, FIELD_VARY), "Accept, Cookie");
	fields_add(&fields, &arena, FIELD_VARY, SLICE("Origin"));
	fields_vary(&fields, &arena, SLICE("cookie, ORIGIN"));
	assert_int_equal(fields_count(&fields, FIELD_VARY), 2);
	fields_vary(&fields, &arena, SLICE("X"));
	assert_int_equal(fields_count(&fields, FIELD_VARY), 1);
	assert_slice(fields_joined(&fields, &arena, FIELD_VARY), "Accept, Cookie, Origin, X");
	fields_vary(&fields, &arena, SLICE("*"));
	fields_vary(&fields, &arena, SLICE("Y"));
	assert_slice(fields_joined(&fields, &arena, FIELD_VARY), "Accept, Cookie, Origin, X, *");
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(list_of_fields),
		cmocka_unit_test(joined),
		cmocka_unit_test(tokens_in_lists),
		cmocka_unit_test(vary),
	};
	return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
