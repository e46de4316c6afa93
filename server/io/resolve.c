/* SPDX-License-Identifier: BSD-2-Clause */
/* One lookup is one channel of c-ares: it reads resolv.conf anew, asks from a port of its own, and is cancelled by destroying it.
 * The callbacks of the library only note what they are told; what follows from it is decided when the library has returned
 * (`go_on`), so that nothing is ever freed beneath it.
 *
 * Queries are made here and not by ares_getaddrinfo: a lost answer for one family must not cost what the other one got, and the numbers
 * of queries are drawn from the kernel, for c-ares 1.18 takes them from /dev/urandom, which is out of reach in the sandbox, or
 * else from rand(). */
#include "io/resolve.h"

#define CARES_NO_DEPRECATED /* newer ones have other calls for the same */
#include <ares.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "io/hosts.h"

#define NAME_MAX_LENGTH 253
#define TIMEOUT_MS      2000 /* of the first query */
#define TRIES           2    /* a server */
#define MOST_MS         8000 /* a lookup */
#define GRACE_MS        300 /* how long one family waits for the other, which may never be answered */
#define CANDIDATES      8   /* names that the search list makes of one */

enum { A, AAAA, FAMILIES };

struct resolver {
	struct loop *loop;
	struct resolver_options options;
	struct link lookups;
};

/* A socket of the library's. */
struct watched_socket {
	struct watched_socket *next;
	struct lookup *lookup;
	ev_io watch;
};

/* One of the two queries. */
struct query {
	struct lookup *lookup;
	bool pending;
	enum resolve_status status;
	unsigned count;
	unsigned ttl;
	struct address addresses[RESOLVE_ADDRESSES];
};

struct lookup {
	struct link link;
	struct resolver *resolver;
	resolve_done_fn *done;
	void *user;
	char name[NAME_MAX_LENGTH + 2]; /* without the dot at its end */
	bool absolute;
	uint16_t port;
	struct task begin;
	ares_channel channel; /* NULL before it was begun */
	struct watched_socket *sockets;
	ev_timer again; /* the library wants to look at the time */
	ev_timer limit; /* of the lookup, or of the grace */
	bool late;
	bool heard; /* something came from a server */
	bool grace;
	char candidates[CANDIDATES][NAME_MAX_LENGTH + 2];
	unsigned candidate_count, asked;
	struct query queries[FAMILIES];
	enum resolve_status worst; /* of the names asked so far */
};

/* --- Names. --- */

static bool is_label_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

bool resolve_name_valid(struct slice name)
{
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > NAME_MAX_LENGTH)
		return false;
	size_t label = 0;
	bool number = true;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			number = true;
			continue;
		}
		if (!is_label_octet(c) || (c == '-' && label == 0) || ++label > 63)
			return false;
		number &= c >= '0' && c <= '9';
	}
	return label > 0 && !number;
}

/* RFC 2181, 8: one with the highest bit set is 0. */
static unsigned clamp_ttl(int ttl)
{
	if (ttl < RESOLVE_TTL_MIN)
		return RESOLVE_TTL_MIN;
	return ttl > RESOLVE_TTL_MAX ? RESOLVE_TTL_MAX : (unsigned)ttl;
}

static void add(struct query *query, int family, const void *octets, int ttl)
{
	unsigned clamped = clamp_ttl(ttl);
	query->ttl = query->count == 0 || clamped < query->ttl ? clamped : query->ttl;
	struct address address = hosts_address(family, octets, query->lookup->port);
	for (unsigned i = 0; i < query->count; i++)
		if (address_equal(&query->addresses[i], &address))
			return;
	query->addresses[query->count++] = address;
}

/* --- The library's sockets: they are never waited for, closed by exec, and not configured further, which the sandbox forbids. --- */

static ares_socket_t socket_open(int family, int type, int protocol, void *user)
{
	(void)user;
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int socket_close(ares_socket_t fd, void *user)
{
	(void)user;
	return close(fd);
}

static int socket_connect(
	ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len, void *user)
{
	(void)user;
	return connect(fd, to, len);
}

static ares_ssize_t socket_receive(ares_socket_t fd, void *to, size_t len, int flags,
	struct sockaddr *from, ares_socklen_t *from_len, void *user)
{
	struct lookup *lookup = user;
	ssize_t n = recvfrom(fd, to, len, flags, from, from_len);
	lookup->heard |= n > 0;
	return n;
}

static ares_ssize_t socket_send(ares_socket_t fd, const struct iovec *parts, int count, void *user)
{
	struct msghdr message = {.msg_iovlen = (size_t)count};
	(void)user;
	memcpy(&message.msg_iov, &parts, sizeof parts); /* sendmsg changes nothing there */
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	socket_open, socket_close, socket_connect, socket_receive, socket_send};

static void go_on(struct lookup *lookup);

static void on_socket(struct ev_loop *ev, ev_io *watch, int events)
{
	struct lookup *lookup = container_of(watch, struct watched_socket, watch)->lookup;
	int fd = watch->fd; /* the watcher may be gone after the first half of the call */
	(void)ev;
	ares_process_fd(lookup->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
		events & EV_WRITE ? fd : ARES_SOCKET_BAD);
	go_on(lookup);
}

static void socket_state(void *user, ares_socket_t fd, int readable, int writable)
{
	struct lookup *lookup = user;
	struct ev_loop *ev = lookup->resolver->loop->ev;
	struct watched_socket **at = &lookup->sockets;
	while (*at && (*at)->watch.fd != fd)
		at = &(*at)->next;
	struct watched_socket *found = *at;
	if (found) {
		ev_io_stop(ev, &found->watch);
	} else if (readable || writable) {
		found = *at = must_zalloc(sizeof *found);
		found->lookup = lookup;
	} else {
		return;
	}
	if (!readable && !writable) {
		*at = found->next;
		free(found);
		return;
	}
	ev_io_init(
		&found->watch, on_socket, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	ev_io_start(ev, &found->watch);
}

/* --- Queries. --- */

static enum resolve_status status_of(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return RESOLVE_NO_NAME;
	case ARES_ENODATA:
		return RESOLVE_NO_ADDRESS;
	case ARES_ETIMEOUT:
		return RESOLVE_SILENT;
	case ARES_ECONNREFUSED:
		return RESOLVE_UNREACHABLE;
	case ARES_EBADRESP:
	case ARES_EFORMERR:
	case ARES_EBADNAME:
		return RESOLVE_MALFORMED;
	default:
		return RESOLVE_FAILED;
	}
}

static int parse_v4(struct query *query, const unsigned char *answer, int length)
{
	struct ares_addrttl found[RESOLVE_ADDRESSES];
	int count = RESOLVE_ADDRESSES;
	int status = ares_parse_a_reply(answer, length, NULL, found, &count);
	for (int i = 0; status == ARES_SUCCESS && i < count; i++)
		add(query, AF_INET, &found[i].ipaddr, found[i].ttl);
	return status;
}

static int parse_v6(struct query *query, const unsigned char *answer, int length)
{
	struct ares_addr6ttl found[RESOLVE_ADDRESSES];
	int count = RESOLVE_ADDRESSES;
	int status = ares_parse_aaaa_reply(answer, length, NULL, found, &count);
	for (int i = 0; status == ARES_SUCCESS && i < count; i++)
		add(query, AF_INET6, &found[i].ip6addr, found[i].ttl);
	return status;
}

static void on_answer(void *user, int status, int timeouts, unsigned char *answer, int length)
{
	struct query *query = user;
	(void)timeouts;
	query->pending = false;
	if (status != ARES_SUCCESS) {
		query->status = status_of(status);
		/* c-ares says so as well when each server said that it failed or refused */
		if (query->status == RESOLVE_UNREACHABLE && query->lookup->heard)
			query->status = RESOLVE_FAILED;
		return;
	}
	int rcode = length >= HFIXEDSZ ? answer[3] & 15 : FORMERR;
	if (rcode == NOERROR) {
		status = query == &query->lookup->queries[A] ? parse_v4(query, answer, length)
							     : parse_v6(query, answer, length);
		query->status = query->count > 0         ? RESOLVE_FOUND
				: status == ARES_SUCCESS ? RESOLVE_NO_ADDRESS
							 : status_of(status);
	} else {
		query->status = rcode == NXDOMAIN  ? RESOLVE_NO_NAME
				: rcode == FORMERR ? RESOLVE_MALFORMED
						   : RESOLVE_FAILED;
	}
}

/* Asks for the next candidate's addresses of both families. */
static void ask(struct lookup *lookup)
{
	static const int types[FAMILIES] = {T_A, T_AAAA};
	const char *name = lookup->candidates[lookup->asked++];
	for (int i = 0; i < FAMILIES; i++) {
		struct query *query = &lookup->queries[i];
		unsigned char *message = NULL;
		int length = 0;
		uint16_t id;
		query->count = 0;
		query->status = RESOLVE_FAILED;
		if (getrandom(&id, sizeof id, 0) != sizeof id)
			continue;
		int status = ares_create_query(name, C_IN, types[i], id, 1, &message, &length, 0);
		if (status != ARES_SUCCESS) {
			query->status = status_of(status);
			continue;
		}
		query->pending = true;
		ares_send(lookup->channel, message, length, on_answer, query);
		ares_free_string(message);
	}
}

/* --- The search list. --- */

static void add_candidate(struct lookup *lookup, const char *domain)
{
	if (lookup->candidate_count == CANDIDATES)
		return;
	char *to = lookup->candidates[lookup->candidate_count];
	size_t room = sizeof lookup->candidates[0];
	int length = domain ? snprintf(to, room, "%s.%s", lookup->name, domain)
			    : snprintf(to, room, "%s", lookup->name);
	if (length > 0 && (size_t)length < room)
		lookup->candidate_count++;
}

/* resolv.conf(5): a name with `ndots` dots is asked for as it is first, one with less at last. */
static void make_candidates(struct lookup *lookup)
{
	struct ares_options options;
	int mask = 0, dots = 0;
	if (lookup->absolute ||
		ares_save_options(lookup->channel, &options, &mask) != ARES_SUCCESS) {
		add_candidate(lookup, NULL);
		return;
	}
	for (const char *c = lookup->name; *c; c++)
		dots += *c == '.';
	bool first = dots >= options.ndots;
	if (first)
		add_candidate(lookup, NULL);
	int most = options.ndomains < CANDIDATES - 1 ? options.ndomains : CANDIDATES - 1;
	for (int i = 0; i < most; i++) {
		const char *domain = options.domains[i];
		if (domain[0] && strcmp(domain, ".") != 0)
			add_candidate(lookup, domain);
	}
	if (!first)
		add_candidate(lookup, NULL);
	ares_destroy_options(&options);
}

/* --- The life of a lookup. --- */

static void lookup_free(struct lookup *lookup)
{
	struct loop *loop = lookup->resolver->loop;
	loop_forget(&lookup->begin);
	ev_timer_stop(loop->ev, &lookup->again);
	ev_timer_stop(loop->ev, &lookup->limit);
	if (lookup->channel)
		ares_destroy(lookup->channel); /* closes its sockets, and tells that it does */
	check(!lookup->sockets);
	list_remove(&lookup->link);
	free(lookup);
}

static void tell(struct lookup *lookup, const struct resolved *answer)
{
	resolve_done_fn *done = lookup->done;
	void *user = lookup->user;
	lookup_free(lookup);
	done(user, answer);
}

static void tell_failed(struct lookup *lookup, enum resolve_status status)
{
	tell(lookup, &(struct resolved){.status = status});
}

static void tell_found(struct lookup *lookup)
{
	struct resolved answer = {.status = RESOLVE_FOUND};
	for (int i = 0; i < FAMILIES; i++) {
		const struct query *query = &lookup->queries[i];
		if (query->count > 0 && (answer.count == 0 || query->ttl < answer.ttl))
			answer.ttl = query->ttl;
		for (unsigned k = 0; k < query->count && answer.count < RESOLVE_ADDRESSES; k++)
			answer.addresses[answer.count++] = query->addresses[k];
	}
	tell(lookup, &answer);
}

static bool has_found(const struct lookup *lookup)
{
	return lookup->queries[A].count + lookup->queries[AAAA].count > 0;
}

/* When the library wants to be called again, and when it is enough. */
static void wait_on(struct lookup *lookup)
{
	struct ev_loop *ev = lookup->resolver->loop->ev;
	struct timeval rest;
	ev_timer_stop(ev, &lookup->again);
	if (ares_timeout(lookup->channel, NULL, &rest)) {
		/* a little late, for what is looked at too early is not due */
		ev_timer_set(&lookup->again,
			(double)rest.tv_sec + (double)rest.tv_usec / 1000000.0 + 0.001, 0.);
		ev_timer_start(ev, &lookup->again);
	}
	if (has_found(lookup) && !lookup->grace) {
		lookup->grace = true;
		ev_timer_stop(ev, &lookup->limit);
		ev_timer_set(&lookup->limit, GRACE_MS / 1000.0, 0.);
		ev_timer_start(ev, &lookup->limit);
	}
}

/* The more serious of two failures: what one name of the search list lacks, another one may have. */
static enum resolve_status worse(enum resolve_status a, enum resolve_status b)
{
	return a > b ? a : b;
}

/* Decides after each event what comes next; may free the lookup. */
static void go_on(struct lookup *lookup)
{
	struct query *queries = lookup->queries;
	for (;;) {
		bool pending = queries[A].pending || queries[AAAA].pending;
		if (has_found(lookup) && (!pending || lookup->late)) {
			tell_found(lookup);
			return;
		}
		if (lookup->late) {
			tell_failed(lookup, RESOLVE_SILENT);
			return;
		}
		if (pending) {
			wait_on(lookup);
			return;
		}
		enum resolve_status now = worse(queries[A].status, queries[AAAA].status);
		lookup->worst = worse(lookup->worst, now);
		if (lookup->asked == lookup->candidate_count || now >= RESOLVE_SILENT) {
			tell_failed(lookup, lookup->worst);
			return;
		}
		ask(lookup);
	}
}

static void on_again(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct lookup *lookup = container_of(timer, struct lookup, again);
	(void)ev, (void)events;
	ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	go_on(lookup);
}

static void on_limit(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct lookup *lookup = container_of(timer, struct lookup, limit);
	(void)ev, (void)events;
	lookup->late = true;
	go_on(lookup);
}

static int open_channel(struct lookup *lookup)
{
	const struct resolver_options *own = &lookup->resolver->options;
	char lookups[] = "b"; /* the hosts file was read here */
	struct ares_options options = {
		.timeout = own->timeout_ms ? (int)own->timeout_ms : TIMEOUT_MS,
		.tries = TRIES,
		.lookups = lookups,
		.sock_state_cb = socket_state,
		.sock_state_cb_data = lookup,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
	char *path = own->resolv_conf ? must_strdup(own->resolv_conf) : NULL;
	if (path) {
		options.resolvconf_path = path;
		mask |= ARES_OPT_RESOLVCONF;
	}
	int status = ares_init_options(&lookup->channel, &options, mask);
	free(path);
	if (status != ARES_SUCCESS) {
		lookup->channel = NULL;
		return -1;
	}
	ares_set_socket_functions(lookup->channel, &socket_functions, lookup);
	return own->servers && ares_set_servers_ports_csv(lookup->channel, own->servers) ? -1 : 0;
}

static void on_begin(struct task *task)
{
	struct lookup *lookup = container_of(task, struct lookup, begin);
	struct ev_loop *ev = lookup->resolver->loop->ev;
	struct resolved known = {.status = RESOLVE_FOUND, .ttl = RESOLVE_TTL_HOSTS};
	known.count = hosts_find(lookup->resolver->options.hosts, lookup->name, lookup->port,
		known.addresses, RESOLVE_ADDRESSES);
	if (known.count > 0) {
		tell(lookup, &known);
		return;
	}
	if (open_channel(lookup)) {
		tell_failed(lookup, RESOLVE_UNREACHABLE);
		return;
	}
	make_candidates(lookup);
	ev_now_update(ev);
	ev_timer_set(&lookup->limit, MOST_MS / 1000.0, 0.);
	ev_timer_start(ev, &lookup->limit);
	if (lookup->candidate_count > 0)
		ask(lookup);
	go_on(lookup);
}

/* --- From outside. --- */

struct resolver *resolver_new(struct loop *loop, const struct resolver_options *options)
{
	struct resolver *resolver = must_zalloc(sizeof *resolver);
	resolver->loop = loop;
	if (options)
		resolver->options = *options;
	list_init(&resolver->lookups);
	return resolver;
}

void resolver_free(struct resolver *resolver)
{
	while (!list_empty(&resolver->lookups))
		lookup_free(container_of(resolver->lookups.next, struct lookup, link));
	free(resolver);
}

struct lookup *resolve_start(struct resolver *resolver, struct slice name, uint16_t port,
	resolve_done_fn *done, void *user)
{
	struct lookup *lookup = must_zalloc(sizeof *lookup);
	check(resolve_name_valid(name));
	lookup->absolute = name.ptr[name.len - 1] == '.';
	memcpy(lookup->name, name.ptr, name.len - lookup->absolute);
	lookup->resolver = resolver;
	lookup->port = port;
	lookup->done = done;
	lookup->user = user;
	lookup->begin.run = on_begin;
	lookup->worst = RESOLVE_NO_NAME;
	for (int i = 0; i < FAMILIES; i++) {
		lookup->queries[i].lookup = lookup;
		lookup->queries[i].status = RESOLVE_NO_NAME;
	}
	ev_timer_init(&lookup->again, on_again, 0., 0.);
	ev_timer_init(&lookup->limit, on_limit, 0., 0.);
	list_append(&resolver->lookups, &lookup->link);
	loop_defer(resolver->loop, &lookup->begin);
	return lookup;
}

void resolve_cancel(struct lookup *lookup)
{
	lookup_free(lookup);
}

const char *resolve_status_text(enum resolve_status status)
{
	static const char *const texts[] = {
		[RESOLVE_FOUND] = "it was found",
		[RESOLVE_NO_NAME] = "there is no such name",
		[RESOLVE_NO_ADDRESS] = "the name has no address",
		[RESOLVE_FAILED] = "the DNS server reports a failure",
		[RESOLVE_MALFORMED] = "the DNS server's answer is malformed",
		[RESOLVE_SILENT] = "the DNS server does not answer",
		[RESOLVE_UNREACHABLE] = "no DNS server can be reached",
	};
	return texts[status];
}

const char *resolve_library(void)
{
	return ares_version(NULL);
}
