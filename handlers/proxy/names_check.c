/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks up the names of a configuration, each once, on a loop of its own. */
#include "handlers/proxy/names_check.h"

#include <stdlib.h>

#include "base/check.h"
#include "handlers/proxy/upstream.h"
#include "io/resolve.h"

#define MOST_MS   2000
#define NAMES_MAX 64 /* more are not looked at: check is no load test */

struct checked {
	const struct upstream_server *server;
	struct names_list *list;
	enum resolve_status status;
};

struct names_list {
	struct loop loop;
	struct checked names[NAMES_MAX];
	unsigned count, left;
};

static void add_servers(struct names_list *list, const struct upstream *upstream)
{
	for (size_t i = 0; i < upstream->server_count; i++) {
		const struct upstream_server *server = &upstream->servers[i];
		bool known = server->name.len == 0 || list->count == NAMES_MAX;
		for (unsigned k = 0; k < list->count && !known; k++)
			known = slice_equal_nocase(list->names[k].server->name, server->name);
		if (!known)
			list->names[list->count++] = (struct checked){
				.server = server, .list = list, .status = RESOLVE_SILENT};
	}
}

static void add_scope(
	struct names_list *list, const struct snapshot *snapshot, const struct scope *scope)
{
	const struct proxy_settings *proxy = scope_settings(snapshot, scope, &proxy_options);
	if (proxy->target && proxy->target->upstream)
		add_servers(list, proxy->target->upstream);
}

/* Also those of upstreams that nobody names. */
static void collect(struct names_list *list, const struct snapshot *snapshot)
{
	const struct upstreams *upstreams = top_settings(snapshot, &upstreams_options);
	for (size_t i = 0; i < upstreams->count; i++)
		add_servers(list, &upstreams->list[i]);
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		add_scope(list, snapshot, &site->scope);
		for (size_t k = 0; k < site->route_count; k++)
			add_scope(list, snapshot, &site->routes[k].scope);
	}
}

static void on_resolved(void *user, const struct resolved *answer)
{
	struct checked *name = user;
	name->status = answer->status;
	if (--name->list->left == 0)
		loop_stop(&name->list->loop);
}

static void on_time(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(ev, EVBREAK_ALL);
}

static int look_up(struct names_list *list, const struct resolver_options *options)
{
	ev_timer limit;
	if (loop_init(&list->loop, 0))
		return -1;
	struct resolver *resolver = resolver_new(&list->loop, options);
	list->left = list->count;
	for (unsigned i = 0; i < list->count; i++)
		resolve_start(resolver, list->names[i].server->name, list->names[i].server->port,
			on_resolved, &list->names[i]);
	ev_timer_init(&limit, on_time, MOST_MS / 1000.0, 0.);
	ev_timer_start(list->loop.ev, &limit);
	loop_run(&list->loop);
	ev_timer_stop(list->loop.ev, &limit);
	resolver_free(resolver);
	loop_done(&list->loop);
	return 0;
}

void names_check(
	struct load *load, const struct snapshot *snapshot, const struct resolver_options *options)
{
	struct names_list *list = must_zalloc(sizeof *list);
	collect(list, snapshot);
	if (list->count > 0 && look_up(list, options) == 0) {
		for (unsigned i = 0; i < list->count; i++) {
			const struct checked *name = &list->names[i];
			if (name->status != RESOLVE_FOUND)
				load_warn(load, name->server->node,
					"“%.*s” does not resolve: %s; the server is down until it does",
					(int)name->server->name.len, name->server->name.ptr,
					resolve_status_text(name->status));
		}
	}
	free(list);
}
