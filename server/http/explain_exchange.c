/* SPDX-License-Identifier: BSD-2-Clause */
/* What an exchange tells of its way. */
#include "http/explain_exchange.h"

void explain_site(struct request *request, struct slice pattern)
{
	struct explanation *e = request->explanation;
	const struct site *site = request->site;
	explain_group(e, "site");
	if (!site) {
		explain_nothing(e, "name");
		explain_text(e, "why",
			SLICE("no site of this listener has the host, and none is without host"));
	} else {
		explain_text(e, "name", site->name);
		if (!pattern.ptr)
			explain_text(e, "why", SLICE("it is the one without host"));
		else if (slice_equal(pattern, request->host))
			explain_text(e, "why", SLICE("it has exactly this host"));
		else
			explain_format(e, "why", "%.*s is the longest pattern that fits the host",
				(int)pattern.len, pattern.ptr);
	}
	explain_close(e);
}

/* Ends what an earlier step has left open, and goes to the list of steps. */
static void go_to_steps(struct explanation *e)
{
	e->handler = NULL;
	explain_enter(e, &e->root);
	explain_list(e, "steps");
}

static const char *why_route(const struct request *request)
{
	struct slice pattern = request->route;
	if (!request->site)
		return "there is no site";
	if (!pattern.len)
		return request->site->route_count ? "no route fits the path"
						  : "the site has no routes";
	if (pattern.ptr[0] != '/')
		return "no path and no prefix fits, the extension does";
	return pattern.ptr[pattern.len - 1] == '/'
		       ? "the longest prefix that fits; no route is for this path alone"
		       : "it is for this path alone";
}

void explain_step(struct request *request, const char *why)
{
	struct explanation *e = request->explanation;
	go_to_steps(e);
	explain_group(e, NULL);
	explain_text(e, "path", request->target.path);
	if (why)
		explain_text(e, "why", slice_of(why));
	if (request->x.status)
		explain_number(e, "keeps", request->x.status);
	explain_group(e, "route");
	if (request->route.len)
		explain_format(e, "pattern", "%s%.*s", request->route.ptr[0] == '/' ? "" : "*",
			(int)request->route.len, request->route.ptr);
	else
		explain_nothing(e, "pattern");
	explain_text(e, "why", slice_of(why_route(request)));
	explain_close(e);
	explain_list(e, "handlers");
	explain_close(e);
}

static void begin_handler(struct explanation *e, const struct handler *handler)
{
	explain_list(e, "handlers");
	explain_group(e, NULL);
	explain_text(e, "name", slice_of(handler->name));
	explain_nothing(e, "verdict");
	e->handler = e->at;
}

void explain_stray(struct request *request, const struct handler *handler)
{
	explain_step(request, NULL);
	begin_handler(request->explanation, handler);
}

enum verdict explain_ask(struct request *request, const struct handler *handler)
{
	begin_handler(request->explanation, handler);
	enum verdict verdict =
		handler->explain ? handler->explain(request) : handler->handle(request);
	if (verdict == PASS)
		explain_verdict(request, "passes");
	return verdict;
}

void explain_verdict(struct request *request, const char *verdict)
{
	struct explanation *e = request->explanation;
	if (!e->handler)
		return;
	explain_enter(e, e->handler);
	explain_text(e, "verdict", slice_of(verdict));
	e->handler = NULL;
	explain_close(e); /* the group */
	explain_close(e); /* the list */
}

void explain_nobody(struct request *request)
{
	struct explanation *e = request->explanation;
	if (request->x.allow && !request->x.status)
		explain_format(e, "nobody", "something is there, but does not take %.*s",
			(int)request->method_name.len, request->method_name.ptr);
	else
		explain_text(e, "nobody", SLICE("no handler answers"));
}
