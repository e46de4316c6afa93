/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be seen of a configuration only when all of it is there. All of this is advice: a folder may be made later, a limit raised. */
#include "advice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"
#include "handlers/proxy/proxy.h"
#include "handlers/proxy/upstream.h"
#include "handlers/static/static.h"
#include "http/route.h"
#include "http/target.h"
#include "process/privilege.h"

/* --- Routes. --- */

static const struct node *route_node(const struct site *site, const struct route *route)
{
	const struct node *routes = node_member(site->scope.node, "routes");
	for (size_t i = 0; routes && i < node_count(routes); i++)
		if (node_item(routes, i) == route->scope.node)
			return node_key(routes, i);
	return site->scope.node;
}

/* A route is met if its own pattern is: the one that answers for that is another one where the two mean the same. */
static void advise_routes(struct load *load, const struct site *site)
{
	const struct route *top = NULL;
	for (size_t i = 0; i < site->route_count; i++)
		if (site->routes[i].kind == ROUTE_PREFIX && site->routes[i].pattern.len == 1)
			top = &site->routes[i];
	for (size_t i = 0; i < site->route_count; i++) {
		const struct route *route = &site->routes[i];
		struct slice pattern;
		if (route->kind == ROUTE_EXTENSION && top) {
			load_warn(load, route_node(site, route),
				"this route is never met: \"/\" is a prefix of every path, and prefixes "
				"go before extensions; leave out \"/\" and write its keys into the site");
			continue;
		}
		if (route->kind == ROUTE_EXTENSION)
			continue;
		const struct scope *met = route_scope(site, route->pattern, &pattern);
		if (met != &route->scope)
			load_warn(load, route_node(site, route),
				"this route is never met: \"%.*s\" stands for the same paths",
				(int)pattern.len, pattern.ptr);
	}
}

/* --- Keys. --- */

static bool has_handler(const struct scope *scope, const char *name)
{
	for (const struct handler *const *h = scope->chain; *h; h++)
		if (strcmp((*h)->name, name) == 0)
			return true;
	return false;
}

/* Keys of which the first one answers all, here or by inheritance, so that the other is not obeyed where it is written. */
static void advise_keys(struct load *load, const struct scope *scope)
{
	static const struct {
		const char *answers, *behind;
	} rows[] = {
		{"redirect", "root"},
		{"redirect", "proxy"},
		{"redirect", "fallback"},
		{"proxy", "fallback"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct node *behind = node_member(scope->node, rows[i].behind);
		const char *whose = node_member(scope->node, rows[i].answers) ? "" : "the site's ";
		bool on = true;
		const char *expected;
		if (!behind || !has_handler(scope, rows[i].answers))
			continue;
		if (node_kind(behind) == NODE_SCALAR &&
			value_bool(node_text(behind), &on, &expected) == 0 && !on)
			continue;
		load_warn(load, behind,
			"\"%s\" has no effect beside %s\"%s\", which answers every request%s%s%s",
			rows[i].behind, whose, rows[i].answers, *whose ? ": write " : "",
			*whose ? rows[i].answers : "", *whose ? ": off here" : "");
	}
}

/* --- HSTS. --- */

/* Said in clear it means nothing (RFC 6797, 8.1), so it is not. A proxy in front may have spoken TLS. */
static void advise_hsts(
	struct load *load, const struct snapshot *snapshot, const struct scope *scope)
{
	const struct node *node = node_member(scope->node, "hsts");
	bool proxied = snapshot->core.trusted.count > 0 || snapshot->core.trusted.local;
	if (!node || !scope->core->hsts.len || proxied || site_has_https(snapshot, scope->site))
		return;
	load_warn(load, node,
		"\"hsts\" is said over https alone, and this site has no address with it: write "
		"listen: [\"http://:80\", \"https://:443\"]");
}

/* --- Who answers at all. --- */

static bool has_proxy(const struct scope *scope)
{
	return has_handler(scope, "proxy");
}

static bool answers(const struct scope *scope)
{
	return has_proxy(scope) || has_handler(scope, "static") || has_handler(scope, "redirect");
}

static void advise_nothing(struct load *load, const struct site *site)
{
	bool some = answers(&site->scope);
	for (size_t i = 0; i < site->route_count; i++)
		some = some || answers(&site->routes[i].scope);
	if (!some)
		load_warn(load, site->scope.node,
			"this site answers nothing but 404: it has neither \"root\" nor \"proxy\"");
}

static uint16_t port_of(const struct address *a)
{
	return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

static bool is_loopback(const struct address *a)
{
	return a->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr)
					    : ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

/* Does the site listen there itself? */
static bool is_own_address(
	const struct snapshot *snapshot, const struct site *site, const struct address *address)
{
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *l = &snapshot->listeners[i];
		bool same =
			address_equal(&l->address, address) ||
			(l->wildcard && address->any.sa_family != AF_UNIX &&
				port_of(&l->address) == port_of(address) && is_loopback(address));
		for (size_t k = 0; same && k < l->site_count; k++)
			if (l->sites[k] == site)
				return true;
	}
	return false;
}

/* What is passed on keeps its host and path: it comes back to the same place. */
static void advise_circle(
	struct load *load, const struct snapshot *snapshot, const struct scope *scope)
{
	const struct node *node = node_member(scope->node, "proxy");
	const struct proxy_settings *proxy =
		handler_scope_settings(snapshot, scope, &proxy_handler);
	if (!node || !has_proxy(scope) || !proxy->target || !proxy->target->upstream)
		return;
	const struct upstream *upstream = proxy->target->upstream;
	for (size_t i = 0; i < upstream->server_count; i++)
		for (unsigned k = 0; k < upstream->servers[i].address_count; k++)
			if (is_own_address(
				    snapshot, scope->site, &upstream->servers[i].addresses[k])) {
				load_warn(load, node,
					"the site listens at %.*s itself: what is passed on comes round "
					"in a circle",
					(int)upstream->servers[i].text.len,
					upstream->servers[i].text.ptr);
				return;
			}
}

/* --- Pages. --- */

/* A file beneath the root, or a folder with an index. */
static bool is_file(const struct file_root *root, struct slice path)
{
	static const struct slice none = {"", 0};
	bool folder = slice_ends(path, SLICE("/"));
	size_t count = folder ? root->index.count : 1;
	char name[PATH_MAX];
	struct stat s;
	for (size_t i = 0; i < count; i++) {
		struct slice index = folder ? root->index.items[i] : none;
		int length = snprintf(name, sizeof name, "%s%.*s%.*s", root->path.ptr,
			(int)path.len, path.ptr, (int)index.len, index.ptr);
		if (length > 0 && (size_t)length < sizeof name && stat(name, &s) == 0 &&
			S_ISREG(s.st_mode))
			return true;
	}
	return false;
}

/* Is a path of the site's a file, or may a backend have it? */
static bool page_is_there(
	const struct snapshot *snapshot, const struct site *site, struct slice path)
{
	struct slice pattern, decoded;
	const struct scope *scope = route_scope(site, path, &pattern);
	const struct static_settings *files =
		handler_scope_settings(snapshot, scope, &static_handler);
	struct arena arena;
	bool there = has_proxy(scope);
	arena_init(&arena, NULL, 0);
	if (!there && files->root.path.ptr && target_decode(path, &arena, &decoded) == 0)
		there = is_file(&files->root, decoded);
	arena_reset(&arena);
	return there;
}

static void advise_page(struct load *load, const struct snapshot *snapshot, const struct site *site,
	const struct node *node, struct slice path)
{
	const char *query = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
	if (query)
		path.len = (size_t)(query - path.ptr);
	if (value_page_fault(path) || page_is_there(snapshot, site, path))
		return; /* a fault is told as an error */
	load_warn(load, node,
		"there is no page %.*s: neither a file beneath the root, nor a backend",
		(int)path.len, path.ptr);
}

static void advise_pages(
	struct load *load, const struct snapshot *snapshot, const struct scope *scope)
{
	const struct node *errors = node_member(scope->node, "errors");
	const struct node *fallback = node_member(scope->node, "fallback");
	for (size_t i = 0; errors && node_kind(errors) == NODE_MAPPING && i < node_count(errors);
		i++)
		if (node_kind(node_item(errors, i)) == NODE_SCALAR)
			advise_page(load, snapshot, scope->site, node_item(errors, i),
				node_text(node_item(errors, i)));
	if (fallback && node_kind(fallback) == NODE_SCALAR)
		advise_page(load, snapshot, scope->site, fallback, node_text(fallback));
}

/* --- Limits. --- */

static void advise_limits(struct load *load, const struct snapshot *snapshot)
{
	const struct core_settings *core = &snapshot->core;
	const struct node *root = load_root(load);
	const struct node *limits = root ? node_member(root, "limits") : NULL;
	const struct node *connections = limits ? node_member(limits, "connections") : NULL;
	const struct node *linger = root ? node_member(root, "linger") : NULL;
	struct rlimit files;
	if (connections && getrlimit(RLIMIT_NOFILE, &files) == 0 &&
		files.rlim_max != RLIM_INFINITY &&
		(uint64_t)core->limits.connections >= (uint64_t)files.rlim_max)
		load_warn(load, connections,
			"this process may have %llu open files at most (ulimit -H -n), and each connection "
			"is one: raise that (LimitNOFILE of the unit), or write less here",
			(unsigned long long)files.rlim_max);
	if (linger && core->linger < core->drain)
		load_warn(load, linger,
			"\"linger\" is shorter than \"drain\": what is under way would be cut sooner by a "
			"reload than by a stop");
}

/* --- Files that are made. --- */

/* Can it be made by who starts weir? `last_too`: so is the folder that it stands in, but never those above. */
static void advise_file(
	struct load *load, const struct node *node, struct slice path, bool socket, bool last_too)
{
	char above[PATH_MAX];
	struct stat s;
	if (!node || !path.ptr || path.len >= sizeof above || path.ptr[0] != '/')
		return;
	if (lstat(path.ptr, &s) == 0) {
		if (S_ISDIR(s.st_mode))
			load_warn(load, node, "%s is a folder: name a file in it", path.ptr);
		else if (socket && !S_ISSOCK(s.st_mode))
			load_warn(load, node, "%s is a file that is no socket", path.ptr);
		return;
	}
	memcpy(above, path.ptr, path.len + 1);
	for (int i = 0; i < 1 + last_too; i++) {
		char *slash = strrchr(above, '/');
		if (!slash || slash == above)
			return;
		*slash = 0;
	}
	if (stat(above, &s) || !S_ISDIR(s.st_mode))
		load_warn(load, node, "there is no folder %s%s", above,
			last_too ? ": the last folder alone is made" : "");
}

static const struct node *log_node(const struct node *root, const char *name)
{
	const struct node *logs = root ? node_member(root, "log") : NULL;
	const struct node *log = logs ? node_member(logs, name) : NULL;
	return log ? node_member(log, "path") : NULL;
}

/* Where a site names the path of a Unix socket. */
static const struct node *socket_node(const struct site *site, struct slice path)
{
	const struct node *listen = node_member(site->scope.node, "listen");
	for (size_t i = 0; listen && node_kind(listen) == NODE_LIST && i < node_count(listen);
		i++) {
		const struct node *item = node_item(listen, i);
		const struct node *address =
			node_kind(item) == NODE_MAPPING ? node_member(item, "address") : item;
		const char *written = address && node_kind(address) == NODE_SCALAR
					      ? strstr(node_text(address).ptr, "://unix:")
					      : NULL;
		if (written && slice_ends(path, slice_of(written + strlen("://unix:"))))
			return address;
	}
	return listen;
}

static void advise_files(struct load *load, const struct snapshot *snapshot)
{
	const struct core_settings *core = &snapshot->core;
	const struct node *root = load_root(load);
	advise_file(load, log_node(root, "error"), core->error_log.path, false, true);
	if (core->access_log.on)
		advise_file(load, log_node(root, "access"), core->access_log.path, false, true);
	advise_file(
		load, root ? node_member(root, "pid_file") : NULL, core->pid_file, false, false);
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *l = &snapshot->listeners[i];
		if (l->address.any.sa_family != AF_UNIX || l->site_count == 0)
			continue;
		struct slice path = slice_of(l->address.local.sun_path);
		advise_file(load, socket_node(l->sites[0], path), path, true, false);
	}
}

/* --- Roots. --- */

enum { TOLD_MAX = 16 << 20 };

struct look {
	int told; /* the writing end of a pipe: the paths that cannot be read, a NUL behind each */
};

static void look_at_root(void *context, const char *path, enum grant grant)
{
	const struct look *look = context;
	if (grant != GRANT_ROOT || access(path, R_OK | X_OK) == 0)
		return;
	size_t length = strlen(path) + 1;
	if (write(look->told, path, length) != (ssize_t)length)
		return;
}

/* With the rights that the worker will have: in a process of its own. */
static void look_as(const struct snapshot *snapshot, const struct account *account, int told)
{
	struct look look = {told};
	if (account_take(account))
		_exit(1);
	static_grant(snapshot, look_at_root, &look);
	_exit(0);
}

/* Where a root is written; the first one, for one that several scopes share. */
static const struct node *root_node(const struct snapshot *snapshot, struct slice path)
{
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		for (size_t k = 0; k <= site->route_count; k++) {
			const struct scope *scope = k ? &site->routes[k - 1].scope : &site->scope;
			const struct static_settings *files =
				handler_scope_settings(snapshot, scope, &static_handler);
			const struct node *node = node_member(scope->node, "root");
			if (node && files->root.path.ptr && slice_equal(files->root.path, path))
				return node;
		}
	}
	return NULL;
}

static void tell_roots(
	struct load *load, const struct snapshot *snapshot, const struct account *account, int told)
{
	struct buffer paths = {NULL, 0, 0};
	whole_read(told, &paths, TOLD_MAX);
	for (size_t at = 0; at < paths.len;) {
		const char *end = memchr(paths.ptr + at, 0, paths.len - at);
		struct slice path = {
			paths.ptr + at, end ? (size_t)(end - paths.ptr) - at : paths.len - at};
		const struct node *node = root_node(snapshot, path);
		if (node)
			load_warn(load, node,
				"the account %s, which serves it (`user`), may not read %.*s",
				account->name, (int)path.len, path.ptr);
		at += path.len + 1;
	}
	buffer_free(&paths);
}

static void advise_account(struct load *load, const struct account *account)
{
	const struct node *root = load_root(load);
	const struct node *user = root ? node_member(root, "user") : NULL;
	if (user && account->uid == 0)
		load_warn(load, user,
			"the worker, which reads from the network, keeps the rights of root: name an "
			"account of its own");
}

static void advise_roots(struct load *load, const struct snapshot *snapshot)
{
	struct account account;
	int ends[2];
	if (geteuid() != 0 || account_find(snapshot->core.user.ptr, &account))
		return;
	advise_account(load, &account);
	if (pipe2(ends, O_CLOEXEC))
		return;
	pid_t child = fork();
	if (child == 0)
		look_as(snapshot, &account, ends[1]);
	close(ends[1]);
	if (child > 0) {
		tell_roots(load, snapshot, &account, ends[0]);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
}

void advise(struct load *load, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		advise_routes(load, site);
		advise_nothing(load, site);
		for (size_t k = 0; k <= site->route_count; k++) {
			const struct scope *scope = k ? &site->routes[k - 1].scope : &site->scope;
			advise_keys(load, scope);
			advise_circle(load, snapshot, scope);
			advise_hsts(load, snapshot, scope);
			advise_pages(load, snapshot, scope);
		}
	}
	advise_limits(load, snapshot);
	advise_files(load, snapshot);
	advise_roots(load, snapshot);
}
