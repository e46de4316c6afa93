/* SPDX-License-Identifier: BSD-2-Clause */
/* The plan as text: a line a fact, a key and its value, an empty line behind each certificate. */
#include "process/acme_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "settings/tls.h"

/* --- The plan. --- */

static char *copy(struct slice text)
{
	char *to = must_alloc(text.len + 1);
	memcpy(to, text.ptr ? text.ptr : "", text.len);
	to[text.len] = 0;
	return to;
}

static bool has_name(const struct acme_certificate *c, const char *name)
{
	for (unsigned i = 0; i < c->count; i++)
		if (strcmp(c->names[i], name) == 0)
			return true;
	return false;
}

static void add_name(struct acme_certificate *c, const char *name)
{
	if (has_name(c, name) || c->count == TLS_NAMES_MAX)
		return;
	c->names = must_realloc(c->names, (c->count + 1) * sizeof(*c->names));
	c->names[c->count++] = must_strdup(name);
}

static void certificate_free(struct acme_certificate *c)
{
	for (unsigned i = 0; i < c->count; i++)
		free(c->names[i]);
	free(c->names);
	free(c->state);
	free(c->directory);
	free(c->email);
	free(c->ca);
	*c = (struct acme_certificate){0};
}

void acme_plan_add(struct acme_plan *plan, const struct acme_certificate *what)
{
	struct acme_certificate *at = NULL;
	if (what->count == 0)
		return;
	for (size_t i = 0; i < plan->count && !at; i++)
		if (strcmp(plan->list[i].state, what->state) == 0 &&
			strcmp(plan->list[i].names[0], what->names[0]) == 0)
			at = &plan->list[i];
	if (!at) {
		plan->list = must_realloc(plan->list, (plan->count + 1) * sizeof(*plan->list));
		at = &plan->list[plan->count++];
		*at = (struct acme_certificate){.state = must_strdup(what->state),
			.directory = must_strdup(what->directory),
			.email = must_strdup(what->email),
			.ca = must_strdup(what->ca)};
	}
	for (unsigned i = 0; i < what->count; i++)
		add_name(at, what->names[i]);
}

static void add_pair(
	struct acme_plan *plan, const struct acme_settings *acme, const struct tls_pair *pair)
{
	struct acme_certificate c = {.state = copy(acme->path),
		.directory = copy(acme->directory),
		.email = copy(acme->email),
		.ca = copy(acme->ca)};
	for (size_t i = 0; i < pair->name_count; i++) {
		char *name = copy(pair->names[i]);
		if (tls_obtainable(pair->names[i]))
			add_name(&c, name);
		free(name);
	}
	acme_plan_add(plan, &c);
	certificate_free(&c);
}

void acme_plan_make(struct acme_plan *plan, const struct snapshot *snapshot)
{
	*plan = (struct acme_plan){0};
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *tls = &snapshot->tls[i];
		for (size_t k = 0; k < tls->pair_count; k++)
			if (tls->pairs[k].acme)
				add_pair(plan, &tls->acme, &tls->pairs[k]);
	}
}

void acme_plan_free(struct acme_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		certificate_free(&plan->list[i]);
	free(plan->list);
	*plan = (struct acme_plan){0};
}

/* --- As text. --- */

void acme_plan_write(const struct acme_plan *plan, struct buffer *to)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct acme_certificate *c = &plan->list[i];
		buffer_format(to, "state %s\ndirectory %s\nemail %s\nca %s\n", c->state,
			c->directory, c->email, c->ca);
		for (unsigned k = 0; k < c->count; k++)
			buffer_format(to, "name %s\n", c->names[k]);
		buffer_format(to, "\n");
	}
}

static int take_line(struct acme_certificate *c, struct slice line)
{
	char **places[] = {&c->state, &c->directory, &c->email, &c->ca};
	static const struct slice keys[] = {
		{"state ", 6}, {"directory ", 10}, {"email ", 6}, {"ca ", 3}};
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		if (!slice_starts(line, keys[i]))
			continue;
		free(*places[i]);
		*places[i] = copy(slice_from(line, keys[i].len));
		return 0;
	}
	struct slice name = slice_from(line, 5);
	if (!slice_starts(line, SLICE("name ")) || !tls_obtainable(name))
		return -1;
	char *text = copy(name);
	add_name(c, text);
	free(text);
	return 0;
}

static bool is_whole(const struct acme_certificate *c)
{
	return c->state && c->state[0] == '/' && c->directory && c->email && c->ca && c->count > 0;
}

int acme_plan_read(struct acme_plan *plan, struct slice text)
{
	struct acme_certificate c = {0};
	int result = 0;
	*plan = (struct acme_plan){0};
	while (text.len > 0 && result == 0) {
		const char *end = memchr(text.ptr, '\n', text.len);
		size_t length = end ? (size_t)(end - text.ptr) : text.len;
		if (length > 0) {
			result = end && !memchr(text.ptr, 0, length)
					 ? take_line(&c, (struct slice){text.ptr, length})
					 : -1;
		} else if (is_whole(&c)) {
			acme_plan_add(plan, &c);
			certificate_free(&c);
		} else {
			result = -1;
		}
		text = slice_from(text, length + 1);
	}
	if (c.state || c.directory || c.email || c.ca || c.count > 0)
		result = -1;
	certificate_free(&c);
	if (result)
		acme_plan_free(plan);
	return result;
}

/* --- uacme. --- */

static const char *look(char *room, size_t size, const char *folder, size_t length)
{
	int n = snprintf(room, size, "%.*s/uacme", (int)length, folder);
	return n > 0 && (size_t)n < size && room[0] == '/' && access(room, X_OK) == 0 ? room : NULL;
}

const char *acme_program(char *room, size_t size)
{
	static const char *const usual[] = {"/usr/bin", "/usr/local/bin", "/usr/sbin"};
	const char *path = getenv("PATH"), *found = NULL;
	if (WEIR_UACME[0] && access(WEIR_UACME, X_OK) == 0)
		return WEIR_UACME;
	while (path && *path && !found) {
		size_t length = strcspn(path, ":");
		found = look(room, size, path, length);
		path += length + (path[length] == ':');
	}
	for (size_t i = 0; i < COUNT_OF(usual) && !found; i++)
		found = look(room, size, usual[i], strlen(usual[i]));
	return found;
}
