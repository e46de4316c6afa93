/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers that stand ready: made in one allocation, head and body in one block. */
#include "http/ready.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/h1_head.h"

static void ready_last(struct ref *ref)
{
	struct ready *ready = container_of(ref, struct ready, ref);
	free(ready->fields.list); /* and ready->lower's behind it */
	free(ready->block);
	free(ready);
}

/* Other names than known ones are copied to *to. */
static struct slice lower_name(const struct field *field, char **to)
{
	if (field->id != FIELD_OTHER)
		return field_lower_name(field->id);
	struct slice name = {*to, field->name.len};
	for (size_t i = 0; i < name.len; i++) {
		char c = field->name.ptr[i];
		*(*to)++ = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return name;
}

/* The fields point into the block, which lives as long. */
static void copy_fields(struct ready *ready, const struct fields *fields, const char *lines)
{
	size_t names = 0;
	for (unsigned i = 0; i < fields->count; i++)
		names += fields->list[i].id == FIELD_OTHER ? fields->list[i].name.len : 0;
	ready->fields.list = must_alloc(sizeof(struct field) * (2 * fields->count + 1) + names);
	ready->fields.count = ready->fields.capacity = fields->count;
	ready->lower = ready->fields;
	ready->lower.list += fields->count;
	ready->lower.count = 0;
	char *name = (char *)(ready->lower.list + fields->count);
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *from = &fields->list[i];
		ready->fields.list[i] = (struct field){
			.name = {lines, from->name.len},
			.value = {lines + from->name.len + 2, from->value.len},
			.id = from->id,
		};
		if (!field_of_connection(from->id)) {
			struct field *lower = &ready->lower.list[ready->lower.count++];
			*lower = ready->fields.list[i];
			lower->name = lower_name(from, &name);
		}
		lines += from->name.len + from->value.len + 4;
	}
}

struct ready *ready_make(unsigned status, const struct fields *fields, uint64_t length,
	const char *body, size_t body_length)
{
	check(body_length == 0 || body_length == length);
	struct ready *ready = must_zalloc(sizeof *ready);
	ref_init(&ready->ref, ready_last);
	ready->status = status;
	ready->length = length;
	ready->body_length = (uint32_t)body_length;
	size_t head = h1_head_size(fields, SLICE("")) + sizeof("Content-Length: \r\n\r\n") + 20;
	ready->block = must_alloc(head + body_length);
	char date[30];
	clock_http_date(date, 0);
	size_t date_offset;
	char *to = h1_head_write(ready->block, status, SLICE(""), date, fields, &date_offset);
	ready->date_offset = (uint32_t)date_offset;
	copy_fields(ready, fields, ready->block + date_offset + 31);
	to = h1_put(to, SLICE("Content-Length: "));
	to += bytes_decimal(to, length);
	to = h1_put(to, SLICE("\r\n\r\n"));
	ready->head_length = (uint32_t)(to - ready->block);
	if (body_length)
		memcpy(to, body, body_length);
	return ready;
}

size_t ready_size(const struct ready *ready)
{
	return sizeof *ready + ready->head_length + ready->body_length +
	       2 * ready->fields.count * sizeof(struct field);
}
