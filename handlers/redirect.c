/* SPDX-License-Identifier: BSD-2-Clause */
/* Redirects that a site or route asks for: what lies behind the route's prefix is kept where the target is one too. */
#include "handlers/redirect.h"

#include "base/check.h"
#include "http/respond.h"
#include "http/route.h"

struct redirect_settings {
	struct slice target; /* ptr NULL: none */
	int status;          /* index into the words */
	struct slice prefix; /* what is taken off the path; of the scope that wrote the target */
	bool keeps_rest;     /* the target ends with "/" and stands for a prefix */
};

static const char *const status_words[] = {"301", "302", "303", "307", "308", NULL};
static const unsigned statuses[] = {301, 302, 303, 307, 308};

static const struct option rows[] = {
	{.name = "redirect",
		.type = OPTION_STRING,
		.flags = OPTION_OFF,
		.offset = offsetof(struct redirect_settings, target),
		.example = "/new/",
		.prose = "Where all requests are sent: a path or a URL. When it ends with / what "
			 "follows the route's own prefix is put behind it. The query is kept."},
	{.name = "status",
		.type = OPTION_ENUM,
		.offset = offsetof(struct redirect_settings, status),
		.words = status_words,
		.preset = "308",
		.example = "308",
		.prose = "The status of redirect: 301, 302, 303, 307 or 308."},
	{0},
};

static const struct option_set redirect_options = {
	.owner = "redirect",
	.place = OPTION_SITE,
	.size = sizeof(struct redirect_settings),
	.rows = rows,
};

/* --- At the load. --- */

/* The route that a scope belongs to; NULL: it is its site's own. */
static const struct route *route_of(const struct scope *scope)
{
	const struct site *site = scope->site;
	for (size_t i = 0; i < site->route_count; i++)
		if (&site->routes[i].scope == scope)
			return &site->routes[i];
	return NULL;
}

/* A path, or a URL of http or https, of octets that may stand in one (RFC 3986, 2). */
static bool target_is_sound(struct slice target)
{
	bool path = target.len && target.ptr[0] == '/' && !slice_starts(target, SLICE("//"));
	size_t scheme = slice_starts(target, SLICE("http://"))    ? 7
			: slice_starts(target, SLICE("https://")) ? 8
								  : 0;
	if (!path && (scheme == 0 || scheme == target.len || strchr("/?#:@", target.ptr[scheme])))
		return false; /* neither, or a URL without a host */
	for (size_t i = 0; i < target.len; i++)
		if (target.ptr[i] <= ' ' || target.ptr[i] > '~' ||
			strchr("\"<>\\^`{|}", target.ptr[i]))
			return false;
	return true;
}

/* Would what is redirected be redirected again by the same scope? */
static bool leads_back(const struct scope *scope, struct slice target)
{
	struct slice pattern;
	const char *query = memchr(target.ptr, '?', target.len);
	if (query)
		target.len = (size_t)(query - target.ptr);
	return target.ptr[0] == '/' && route_scope(scope->site, target, &pattern) == scope;
}

static int configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	(void)snapshot;
	struct redirect_settings *s = settings;
	const struct node *node = node_member(scope->node, "redirect");
	const struct route *route = node ? route_of(scope) : NULL;
	if (!s->target.ptr)
		return 0;
	bool prefix = !route || route->kind == ROUTE_PREFIX;
	s->prefix = route && prefix ? route->pattern : SLICE("/");
	s->keeps_rest = prefix && s->target.len && s->target.ptr[s->target.len - 1] == '/';
	if (!node) /* inherited: told where it is written */
		return 1;
	if (!target_is_sound(s->target))
		return load_error(load, node,
			"\"redirect\" wants a path or a URL, such as /new/ or https://example.org/, "
			"with other octets than those of a URL written as %%XX");
	if (leads_back(scope, s->target))
		return load_error(load, node, "%.*s leads back to where it was written, for ever",
			(int)s->target.len, s->target.ptr);
	return 1;
}

/* --- For a request. --- */

/* What is put behind the target. Strokes at its beginning are dropped: behind "/" they would name another host. */
static struct slice rest_of(const struct redirect_settings *s, struct slice path)
{
	size_t length;
	struct slice rest = s->keeps_rest && route_prefix(path, s->prefix, &length)
				    ? slice_from(path, length)
				    : (struct slice){path.ptr, 0};
	while (rest.len && rest.ptr[0] == '/')
		rest = slice_from(rest, 1);
	return rest;
}

static enum verdict handle(struct request *request)
{
	const struct redirect_settings *s = handler_settings(request, &redirect_handler);
	struct slice rest = rest_of(s, request->target.path), query = request->target.query;
	bool has_query = query.ptr && query.len;
	const char *joint = !has_query ? "" : memchr(s->target.ptr, '?', s->target.len) ? "&" : "?";
	respond_redirect(request, statuses[s->status],
		arena_format(&request->arena, "%.*s%.*s%s%.*s", (int)s->target.len, s->target.ptr,
			(int)rest.len, rest.ptr, joint, has_query ? (int)query.len : 0,
			has_query ? query.ptr : ""));
	return TAKEN;
}

const struct handler redirect_handler = {
	.name = "redirect",
	.site_options = &redirect_options,
	.configure = configure,
	.handle = handle,
};
