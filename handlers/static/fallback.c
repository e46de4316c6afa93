/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a single-page application. A missing script or picture stays a 404: HTML with 200 in its place is what breaks a
 * page after a deploy, and is kept by caches. */
#include "handlers/static/fallback.h"

#include "handlers/static/static.h"
#include "http/accept.h"
#include "http/exchange.h"
#include "http/explain.h"
#include "http/respond.h"

struct fallback_settings {
	struct slice path; /* ptr NULL: off */
};

/* --- Is it a page that is asked for? --- */

/* What follows the last dot of the last segment; ptr NULL: nothing does. */
static struct slice extension_of(struct slice path)
{
	for (size_t i = path.len; i-- > 0 && path.ptr[i] != '/';)
		if (path.ptr[i] == '.')
			return slice_from(path, i + 1);
	return (struct slice){NULL, 0};
}

static bool is_page_name(struct slice extension)
{
	return slice_equal_nocase(extension, SLICE("html")) ||
	       slice_equal_nocase(extension, SLICE("htm")) ||
	       slice_equal_nocase(extension, SLICE("xhtml"));
}

/* Browsers say what they want the answer for (Fetch Metadata): a page of its own, or within another. */
static bool is_page_destination(struct slice destination)
{
	static const struct slice pages[] = {
		{"document", 8}, {"iframe", 6}, {"frame", 5}, {"embed", 5}, {"object", 6}};
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (slice_equal(destination, pages[i]))
			return true;
	return false;
}

/* Does a member of Accept name a type of pages, with whatever parameters, as something that is wanted? */
static bool names_page(struct slice member)
{
	struct slice type;
	bool plain;
	return accept_member(member, &type, &plain) > 0 &&
	       (slice_equal_nocase(type, SLICE("text/html")) ||
		       slice_equal_nocase(type, SLICE("application/xhtml+xml")));
}

/* By Accept. Who takes anything and says nothing more, as curl does, is known by the name alone: programs that want data, and browsers
 * that want a picture, name what they want before they say so. */
static bool accepts_page(struct request *request, bool page_name)
{
	struct slice accept = fields_joined(&request->fields, &request->arena, FIELD_ACCEPT);
	if (!accept.len || slice_equal(accept, SLICE("*/*")))
		return page_name;
	struct slice member;
	while (list_next(&accept, &member))
		if (names_page(member))
			return true;
	return false;
}

static bool asks_for_page(struct request *request)
{
	const struct static_settings *files = handler_settings(request, &static_handler);
	const struct field *destination = fields_find(&request->fields, FIELD_SEC_FETCH_DEST);
	struct slice extension = extension_of(request->target.path);
	bool page_name = !extension.len || is_page_name(extension);
	if (destination && slice_equal(destination->value, SLICE("document")))
		return true;
	if (!page_name && mime_find(files->root.mime, request->target.path).len)
		return false; /* a script, a picture */
	if (destination)
		return is_page_destination(destination->value);
	return accepts_page(request, page_name);
}

/* --- The handler. --- */

static enum verdict fallback_handle(struct request *request)
{
	const struct fallback_settings *settings = handler_settings(request, &fallback_handler);
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	/* once only: an error's page, or a fallback that is missing, is not looked for again */
	if (!reads || request->x.reroutes) {
		explain_text(request->explanation, "why",
			reads ? SLICE("this path is weir's own, not the client's")
			      : SLICE("it answers GET and HEAD alone"));
		return PASS;
	}
	exchange_vary(request, SLICE("Sec-Fetch-Dest, Accept"));
	if (!asks_for_page(request)) {
		explain_text(request->explanation, "why",
			SLICE("by Sec-Fetch-Dest, Accept and the name no page is asked for"));
		return PASS;
	}
	explain_text(request->explanation, "why", SLICE("a page is asked for"));
	exchange_reroute(request, settings->path, 0, "the fallback");
	return TAKEN;
}

static int fallback_configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	const struct fallback_settings *s = settings;
	const struct node *node = node_member(scope->node, "fallback");
	(void)snapshot;
	if (!s->path.ptr)
		return 0;
	if (!node) /* inherited: told where it is written */
		return 1;
	if (s->path.len == 0 || s->path.ptr[0] != '/')
		return load_error(load, node,
			"\"fallback\" is the path of a page as a request names it: write /%.*s",
			(int)s->path.len, s->path.ptr);
	const char *query = memchr(s->path.ptr, '?', s->path.len);
	size_t length = query ? (size_t)(query - s->path.ptr) : s->path.len;
	const char *fault = value_page_fault((struct slice){s->path.ptr, length});
	for (size_t i = length; !fault && i < s->path.len; i++)
		if (s->path.ptr[i] <= ' ' || s->path.ptr[i] > '~' || s->path.ptr[i] == '#')
			fault = "spaces, other characters than ASCII and # are written %XX in it";
	if (fault)
		return load_error(load, node, "\"%.*s\" is no path of a page: %s", (int)s->path.len,
			s->path.ptr, fault);
	return 1;
}

static const struct option rows[] = {
	{.name = "fallback",
		.type = OPTION_STRING,
		.flags = OPTION_OFF,
		.offset = offsetof(struct fallback_settings, path),
		.example = "/index.html",
		.prose =
			"The page that answers, with 200, where nobody else did, as `proxy` always does: for applications that "
			"run in the browser and name their pages themselves. Only for GET and HEAD that "
			"ask for a page, by Sec-Fetch-Dest, Accept and the extension of the name: a "
			"script or picture that is missing stays a 404."},
	{0},
};

static const struct option_set fallback_options = {
	.owner = "fallback",
	.place = OPTION_SITE,
	.size = sizeof(struct fallback_settings),
	.rows = rows,
};

const struct handler fallback_handler = {
	.name = "fallback",
	.site_options = &fallback_options,
	.configure = fallback_configure,
	.handle = fallback_handle,
};
