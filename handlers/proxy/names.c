/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks names of backends up, again and again. */
#include "handlers/proxy/names.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

#define RETRY_MOST 5 /* seconds */

struct names {
	struct loop *loop;
	struct resolver *resolver;
	struct server_name *all;
	names_told_fn *told;
	void *user;
};

static void on_resolved(void *user, const struct resolved *answer);

static void look_up(struct server_name *name)
{
	name->lookup =
		resolve_start(name->names->resolver, name->text, name->port, on_resolved, name);
}

static void on_again(struct deadline *deadline)
{
	look_up(container_of(deadline, struct server_name, again));
}

bool name_has(const struct server_name *name, const struct address *address)
{
	for (unsigned i = 0; i < name->count; i++)
		if (address_equal(&name->addresses[i], address))
			return true;
	return false;
}

/* Servers tell the addresses in another order each time. */
static bool is_same(const struct server_name *name, const struct resolved *answer)
{
	for (unsigned i = 0; i < answer->count; i++)
		if (!name_has(name, &answer->addresses[i]))
			return false;
	return name->count == answer->count;
}

/* Every thread finds out by itself; one tells the operator. */
static enum log_level level(const struct server_name *name, enum log_level first)
{
	return name->names->loop->index == 0 ? first : LOG_LEVEL_DEBUG;
}

static void take(struct server_name *name, const struct resolved *answer)
{
	if (name->failures > 0)
		log_at(&(struct log_scope){.what = "proxy"}, level(name, LOG_LEVEL_INFO),
			LOG_ALWAYS, "%.*s resolves again", (int)name->text.len, name->text.ptr);
	name->failures = 0;
	if (is_same(name, answer))
		return;
	free(name->addresses);
	name->addresses = must_alloc(answer->count * sizeof name->addresses[0]);
	memcpy(name->addresses, answer->addresses, answer->count * sizeof name->addresses[0]);
	name->count = answer->count;
	name->generation++;
}

static unsigned seconds_to_retry(const struct server_name *name)
{
	unsigned seconds = name->failures < 4 ? 1u << (name->failures - 1) : RETRY_MOST;
	return seconds < RETRY_MOST ? seconds : RETRY_MOST;
}

static void fail(struct server_name *name, enum resolve_status why)
{
	if (name->failures++ == 0)
		log_at(&(struct log_scope){.what = "proxy"}, level(name, LOG_LEVEL_WARN),
			LOG_ALWAYS, "%.*s does not resolve: %s; %s", (int)name->text.len,
			name->text.ptr, resolve_status_text(why),
			name->count > 0 ? "its last addresses are kept"
					: "it is down until it does");
}

static void on_resolved(void *user, const struct resolved *answer)
{
	struct server_name *name = user;
	struct names *names = name->names;
	name->lookup = NULL;
	name->settled = true;
	unsigned seconds = answer->ttl;
	if (answer->status == RESOLVE_FOUND) {
		take(name, answer);
	} else {
		fail(name, answer->status);
		seconds = seconds_to_retry(name);
	}
	deadline_set(names->loop, &name->again, (uint64_t)seconds * 1000);
	names->told(names->user, name);
}

struct names *names_new(
	struct loop *loop, const struct resolver_options *options, names_told_fn *told, void *user)
{
	struct names *names = must_zalloc(sizeof *names);
	names->loop = loop;
	names->resolver = resolver_new(loop, options);
	names->told = told;
	names->user = user;
	return names;
}

void names_free(struct names *names)
{
	resolver_free(names->resolver);
	while (names->all) {
		struct server_name *name = names->all;
		names->all = name->next;
		deadline_clear(names->loop, &name->again);
		free(name->addresses);
		free(name);
	}
	free(names);
}

struct server_name *names_get(struct names *names, const struct upstream_server *server)
{
	for (struct server_name *name = names->all; name; name = name->next)
		if (name->port == server->port && slice_equal_nocase(name->text, server->name))
			return name;
	struct server_name *name = must_zalloc(sizeof *name);
	name->names = names;
	name->text = server->name;
	name->port = server->port;
	name->again.expired = on_again;
	name->next = names->all;
	names->all = name;
	look_up(name);
	return name;
}
