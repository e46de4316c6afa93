/* SPDX-License-Identifier: BSD-2-Clause */
/* The Priority field: a dictionary of structured fields (RFC 8941, 3.2), of which two members are known (RFC 9218, 4). */
#include "http/priority.h"

#include "http/token.h"

/* A member without its parameters: "u=3;x" is u and 3. */
static void split(struct slice member, struct slice *key, struct slice *value)
{
	const char *end = memchr(member.ptr, ';', member.len);
	if (end)
		member.len = (size_t)(end - member.ptr);
	const char *equals = memchr(member.ptr, '=', member.len);
	*key = equals ? (struct slice){member.ptr, (size_t)(equals - member.ptr)} : member;
	*value = equals ? slice_from(member, key->len + 1) : SLICE("?1");
}

void priority_read(struct slice value, struct priority *priority)
{
	struct priority read = *priority;
	struct slice member, key, item;
	while (list_next(&value, &member)) {
		split(member, &key, &item);
		if (slice_equal(key, SLICE("u"))) {
			if (item.len == 1 && item.ptr[0] >= '0' && item.ptr[0] <= '7')
				read.urgency = (uint8_t)(item.ptr[0] - '0');
		} else if (slice_equal(key, SLICE("i"))) {
			if (slice_equal(item, SLICE("?1")) || slice_equal(item, SLICE("?0")))
				read.incremental = item.ptr[1] == '1';
		} else if (!token_valid(key)) {
			return;
		}
	}
	*priority = read;
}
