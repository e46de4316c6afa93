/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the addresses that sites listen at, joins those that share one, and tells what cannot be told apart. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/check.h"
#include "settings/sites.h"

static int listen_add(
	struct sites *sites, const struct node *node, struct listen_entry *entry, struct slice text)
{
	entry->text = arena_slice(load_arena(sites->load), text);
	entry->node = node;
	buffer_append(&sites->listens, entry, sizeof(*entry));
	return 0;
}

/* "localhost:8080": both loopback addresses; a machine may lack IPv6. */
static int listen_localhost(
	struct sites *sites, const struct node *node, struct listen_entry entry, struct slice port)
{
	static const char *const hosts[] = {"127.0.0.1", "[::1]"};
	const char *expected;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		struct slice text = arena_format(
			&sites->load->scratch, "%s:%.*s", hosts[i], (int)port.len, port.ptr);
		entry.optional = i > 0;
		if (value_address(text, &entry.address, &entry.wildcard, &expected))
			return load_error(sites->load, node,
				"\"%s\" has no good port: write a number up to 65535",
				node->text.ptr);
		listen_add(sites, node, &entry, text);
	}
	return 0;
}

static const char *scheme_text(enum scheme scheme)
{
	return scheme == SCHEME_HTTPS ? "https" : "http";
}

/* What is wrong with an address behind its scheme. */
static int address_fault(struct load *load, const struct node *node, enum scheme which,
	struct slice text, const char *expected)
{
	const char *written = node->text.ptr, *scheme = scheme_text(which);
	const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
	if (slash && !slice_starts(text, SLICE("unix:")))
		return load_error(load, node, "\"%s\": an address has no path, write %s://%.*s",
			written, scheme, (int)(slash - text.ptr), text.ptr);
	if (slice_starts(text, SLICE("*:")))
		return load_error(load, node,
			"\"%s\": for all addresses of the machine write %s://%s", written, scheme,
			text.ptr + 1);
	bool letters = false;
	for (size_t i = 0; i < text.len; i++)
		letters |= (text.ptr[i] | 0x20) >= 'g' && (text.ptr[i] | 0x20) <= 'z';
	if (letters && !slice_starts(text, SLICE("unix:")))
		return load_error(load, node,
			"\"%s\" has a name in it: listen at an address, such as %s://:%s, and "
			"write the name under host",
			written, scheme, which == SCHEME_HTTPS ? "443" : "80");
	return load_error(load, node, "\"%s\" is no address to listen at: write %s:// and %s",
		written, scheme, expected);
}

/* What is wrong with something that begins with no scheme. */
static int scheme_fault(struct load *load, const struct node *node)
{
	struct slice text = node->text;
	struct address address;
	bool wildcard;
	uint64_t port;
	const char *expected;
	if (slice_number(text, &port) == 0)
		return load_error(load, node, "\"%s\" is no address to listen at: write %s://:%s",
			text.ptr, port == 443 ? "https" : "http", text.ptr);
	if (value_address(text, &address, &wildcard, &expected) == 0)
		return load_error(
			load, node, "\"%s\" lacks its scheme: write http://%s", text.ptr, text.ptr);
	return load_error(load, node,
		"\"%s\" is no address to listen at: write http:// and an address, such as http://:80",
		text.ptr);
}

static bool has_port(struct slice text)
{
	const char *bracket = text.len > 0 ? memrchr(text.ptr, ']', text.len) : NULL;
	struct slice rest = bracket ? slice_from(text, (size_t)(bracket - text.ptr)) : text;
	return rest.len > 0 && memchr(rest.ptr, ':', rest.len);
}

static int address_read(struct sites *sites, const struct node *node, size_t site)
{
	struct load *load = sites->load;
	struct listen_entry entry = {.site = site};
	const char *expected;
	if (node->kind != NODE_SCALAR || node->text.len == 0)
		return load_error(load, node,
			"an address belongs here; for example listen: [\"http://:80\"]");
	if (slice_starts(node->text, SLICE("https://")))
		entry.scheme = SCHEME_HTTPS;
	else if (!slice_starts(node->text, SLICE("http://")))
		return scheme_fault(load, node);
	struct slice text = slice_from(node->text, entry.scheme == SCHEME_HTTPS ? 8 : 7);
	if (slice_starts(text, SLICE("unix:"))) {
		struct slice path = slice_from(text, 5);
		if (path.len > 0)
			path = load_path(load, path);
		text = arena_format(
			&load->scratch, "unix:%.*s", (int)path.len, path.len > 0 ? path.ptr : "");
	} else if (text.len > 0 && !has_port(text) && !memchr(text.ptr, '/', text.len)) {
		text = arena_format(&load->scratch, "%s:%s", text.ptr,
			entry.scheme == SCHEME_HTTPS ? "443" : "80");
	}
	if (slice_starts(text, SLICE("localhost:")))
		return listen_localhost(sites, node, entry, slice_from(text, 10));
	if (value_address(text, &entry.address, &entry.wildcard, &expected))
		return address_fault(load, node, entry.scheme, text, expected);
	if (entry.address.any.sa_family == AF_INET6 &&
		IN6_IS_ADDR_V4MAPPED(&entry.address.v6.sin6_addr)) {
		char v4[INET_ADDRSTRLEN];
		inet_ntop(AF_INET, &entry.address.v6.sin6_addr.s6_addr[12], v4, sizeof(v4));
		return load_error(load, node, "\"%s\" is an address of IPv4: write %s://%s:%d",
			node->text.ptr, scheme_text(entry.scheme), v4,
			ntohs(entry.address.v6.sin6_port));
	}
	return listen_add(sites, node, &entry, text);
}

static int item_read(struct sites *sites, const struct node *node, size_t site)
{
	const struct node *address = NULL;
	if (node->kind != NODE_MAPPING)
		return address_read(sites, node, site);
	if (load_rows(sites->load, node, core_listen_rows, &address))
		return -1;
	return address_read(sites, address, site);
}

int listen_read(struct sites *sites, const struct node *node, size_t site)
{
	int result = 0;
	if (node->kind != NODE_LIST)
		return item_read(sites, node, site);
	if (node->count == 0)
		return load_error(sites->load, node,
			"no address stands here; for example listen: [\"http://:80\"]");
	for (size_t i = 0; i < node->count; i++) {
		if (item_read(sites, node->items[i], site))
			result = -1;
	}
	return result;
}

static in_port_t port_of(const struct address *address)
{
	return address->any.sa_family == AF_INET    ? address->v4.sin_port
	       : address->any.sa_family == AF_INET6 ? address->v6.sin6_port
						    : 0;
}

/* Does a take connections that b is for, so that the system refuses to open both? */
static bool covers(const struct listener_settings *a, const struct listener_settings *b)
{
	in_port_t port = port_of(&a->address);
	if (port == 0 || port != port_of(&b->address))
		return false;
	if (a->wildcard)
		return true;
	if (a->address.any.sa_family == AF_INET)
		return b->address.any.sa_family == AF_INET &&
		       a->address.v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return b->address.any.sa_family == AF_INET6 && !b->wildcard &&
	       IN6_IS_ADDR_UNSPECIFIED(&a->address.v6.sin6_addr);
}

/* "line 3", or "sites/a.yaml:3" where that is another file. */
static const char *place_text(
	struct load *load, const struct node *node, const struct node *seen_from)
{
	if (node->file == seen_from->file)
		return arena_format(&load->scratch, "line %u", node->line).ptr;
	return arena_format(&load->scratch, "%s:%u", node->file->name.ptr, node->line).ptr;
}

struct placed_host {
	struct slice host;
	const struct node *node;
};

static int host_order(const void *left, const void *right)
{
	const struct placed_host *a = left, *b = right;
	size_t shorter = a->host.len < b->host.len ? a->host.len : b->host.len;
	int order = memcmp(a->host.ptr, b->host.ptr, shorter);
	if (order != 0)
		return order;
	if (a->host.len != b->host.len)
		return a->host.len < b->host.len ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* A host that two sites of one address have, or one site twice: told at both places. */
static int check_hosts(struct sites *sites, const struct listener_settings *listener)
{
	struct load *load = sites->load;
	const struct site_reading *readings = (const void *)sites->sites.ptr;
	struct buffer hosts = {0};
	int result = 0;
	for (size_t i = 0; i < listener->site_count; i++) {
		size_t index = (size_t)(listener->sites[i] - load->snapshot->sites);
		const struct site_reading *reading = &readings[index];
		for (size_t k = 0; k < reading->site.host_count; k++) {
			struct placed_host host = {reading->site.hosts[k], reading->host_nodes[k]};
			buffer_append(&hosts, &host, sizeof(host));
		}
	}
	struct placed_host *sorted = (void *)hosts.ptr;
	size_t count = hosts.len / sizeof(*sorted);
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), host_order);
	for (size_t i = 1; i < count; i++) {
		const struct placed_host *a = &sorted[i - 1], *b = &sorted[i];
		if (!slice_equal(a->host, b->host))
			continue;
		result = load_error(load, a->node, "\"%s\" at %s is named again in %s", a->host.ptr,
			listener->text.ptr, place_text(load, b->node, a->node));
		load_error(load, b->node, "\"%s\" at %s is named already in %s", b->host.ptr,
			listener->text.ptr, place_text(load, a->node, b->node));
	}
	buffer_free(&hosts);
	return result;
}

/* Adds a site to a listener; two sites without host cannot share one. */
static int join(
	struct sites *sites, struct listener_settings *listener, const struct listen_entry *entry)
{
	struct load *load = sites->load;
	const struct site *all = load->snapshot->sites, *site = &all[entry->site];
	const struct site_reading *readings = (const void *)sites->sites.ptr;
	/* entries come in the order of sites */
	if (listener->site_count > 0 && listener->sites[listener->site_count - 1] == site)
		return load_error(load, entry->node, "%s is named twice in this site: keep one",
			listener->text.ptr);
	listener->sites[listener->site_count++] = site;
	if (site->host_count > 0)
		return 0;
	if (!listener->fallback) {
		listener->fallback = site;
		return 0;
	}
	const struct node *first = readings[listener->fallback - all].node;
	const struct node *second = readings[entry->site].node;
	static const char text[] = "two sites without host share %s, this one and that of %s, and "
				   "only one can be the default: give one a host";
	load_error(load, first, text, listener->text.ptr, place_text(load, second, first));
	return load_error(load, second, text, listener->text.ptr, place_text(load, first, second));
}

/* The index of an address's listener: an earlier one's, or a new one's; -1: there are too many. */
static int listener_index(
	struct snapshot *snapshot, const struct listen_entry *entry, const struct node **nodes)
{
	size_t count = snapshot->listener_count;
	for (size_t i = 0; i < count; i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		if (listener->wildcard == entry->wildcard &&
			address_equal(&listener->address, &entry->address))
			return (int)i;
	}
	if (count == LISTENERS_MAX)
		return -1;
	nodes[count] = entry->node;
	snapshot->listeners[snapshot->listener_count++] = (struct listener_settings){
		.address = entry->address,
		.wildcard = entry->wildcard,
		.optional = entry->optional,
		.scheme = entry->scheme,
		.text = entry->text,
	};
	return (int)count;
}

/* The listeners of all entries, each with room for its sites; nodes: where each was named first. 0 or -1. */
static int listeners_find(
	struct sites *sites, struct listen_entry *entries, size_t count, const struct node **nodes)
{
	struct snapshot *snapshot = sites->load->snapshot;
	for (size_t i = 0; i < count; i++) {
		entries[i].listener = listener_index(snapshot, &entries[i], nodes);
		if (entries[i].listener < 0)
			return load_error(sites->load, entries[i].node, "more than %d addresses",
				LISTENERS_MAX);
		snapshot->listeners[entries[i].listener].site_count++;
	}
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		struct listener_settings *listener = &snapshot->listeners[i];
		listener->sites = arena_alloc(
			&snapshot->arena, listener->site_count * sizeof(listener->sites[0]));
		listener->site_count = 0;
	}
	return 0;
}

static int check_overlaps(struct load *load, const struct node *const *nodes)
{
	const struct snapshot *snapshot = load->snapshot;
	int result = 0;
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		for (size_t k = 0; k < snapshot->listener_count; k++) {
			const struct listener_settings *all = &snapshot->listeners[i];
			const struct listener_settings *one = &snapshot->listeners[k];
			if (i == k || !covers(all, one))
				continue;
			result = load_error(load, nodes[k],
				"%s is a part of %s (%s), and a port cannot be opened twice: name "
				"the same address in both",
				one->text.ptr, all->text.ptr, place_text(load, nodes[i], nodes[k]));
		}
	}
	return result;
}

/* An address speaks TLS or it does not, and TLS needs a certificate. */
static int check_entry(
	struct sites *sites, const struct listen_entry *entry, const struct node *first)
{
	struct load *load = sites->load;
	const struct listener_settings *listener = &load->snapshot->listeners[entry->listener];
	if (listener->scheme != entry->scheme)
		return load_error(load, entry->node,
			"%s is https and http at once (%s): an address speaks one of them, name "
			"two ports",
			listener->text.ptr, place_text(load, first, entry->node));
	const struct tls_settings *tls = load->snapshot->sites[entry->site].tls;
	if (entry->scheme == SCHEME_HTTPS && !entry->optional && tls->pair_count == 0 &&
		!tls->acme.on)
		return load_error(load, entry->node,
			"https needs a certificate: write tls: { certificates: [{ certificate: "
			"example.pem, key: example.key }] }, or tls: { acme: on } to obtain one");
	return 0;
}

int listeners_make(struct sites *sites)
{
	struct load *load = sites->load;
	struct snapshot *snapshot = load->snapshot;
	struct listen_entry *entries = (void *)sites->listens.ptr;
	size_t count = sites->listens.len / sizeof(*entries);
	size_t room = count < LISTENERS_MAX ? count : LISTENERS_MAX;
	int result = 0;
	snapshot->listeners =
		arena_alloc(&snapshot->arena, (room + 1) * sizeof(snapshot->listeners[0]));
	const struct node **nodes = arena_alloc(&load->scratch, (room + 1) * sizeof(nodes[0]));
	if (listeners_find(sites, entries, count, nodes)) {
		snapshot->listener_count =
			0; /* whoever looks at the rest finds none that is half made */
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (check_entry(sites, &entries[i], nodes[entries[i].listener]))
			result = -1;
		if (join(sites, &snapshot->listeners[entries[i].listener], &entries[i]))
			result = -1;
	}
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		if (check_hosts(sites, &snapshot->listeners[i]))
			result = -1;
	}
	return check_overlaps(load, nodes) ? -1 : result;
}
