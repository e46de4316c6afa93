/* SPDX-License-Identifier: BSD-2-Clause */
/* A TLS client that tests hold by the hand. */
#include "tls_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

/* --- The stage. --- */

struct stage stage;

void stage_fault(void *context, const struct tls_settings *rules, const struct tls_pair *pair,
	const char *key, bool warning, const char *text)
{
	(void)context, (void)rules, (void)pair, (void)key;
	if (!warning)
		fail_msg("%s", text);
}

static void make_certificates(const char *folder)
{
	struct made a, b, ca, me;
	made_make(&a, &(struct made_wish){.names = {"a.test"}});
	made_make(&b, &(struct made_wish){.names = {"b.test"}});
	made_make(&ca, &(struct made_wish){.common_name = "authority", .authority = true});
	made_make(&me, &(struct made_wish){.names = {"client.test"}, .issuer = &ca});
	made_save(folder, "a", &a);
	made_save(folder, "b", &b);
	made_save(folder, "ca", &ca);
	made_save(folder, "me", &me);
	made_free(&a);
	made_free(&b);
	made_free(&ca);
	made_free(&me);
}

struct tls_thread *stage_thread(unsigned char master)
{
	unsigned char key[TLS_MASTER_SIZE];
	memset(key, master, sizeof(key));
	struct tls_thread *thread = tls_thread_new(&stage.loop, stage.store, key);
	assert_non_null(thread);
	return thread;
}

void stage_begin(const char *tls, const char *sites)
{
	struct buffer text = {0};
	memset(&stage, 0, sizeof(stage));
	made_folder(stage.folder);
	make_certificates(stage.folder);
	buffer_format(&text, "tls: %s\nsites:\n%s", tls, sites);
	buffer_append(&text, "", 1);
	stage.snapshot = made_load(stage.folder, text.ptr);
	buffer_free(&text);
	stage.store = tls_store_make(stage.snapshot, tls_keys_here(), stage_fault, NULL);
	assert_non_null(stage.store);
	assert_int_equal(loop_init(&stage.loop, 0), 0);
	stage.thread = stage_thread(1);
}

void stage_end(void)
{
	tls_thread_free(stage.thread);
	tls_store_put(stage.store);
	snapshot_free(stage.snapshot);
	loop_done(&stage.loop);
	made_remove(stage.folder);
}

int stage_set_up(void **state)
{
	(void)state;
	stage_begin("{ certificates: [{ certificate: a.pem, key: a.key }] }",
		"  - listen: [\"https://127.0.0.1:1\"]\n");
	return 0;
}

int stage_tear_down(void **state)
{
	(void)state;
	stage_end();
	return 0;
}

/* --- The client's bytes. --- */

static ssize_t push(gnutls_transport_ptr_t pointer, const void *bytes, size_t size)
{
	struct peer_pair *p = pointer;
	buffer_append(&p->out, bytes, size);
	return (ssize_t)size;
}

static ssize_t pull(gnutls_transport_ptr_t pointer, void *to, size_t size)
{
	struct peer_pair *p = pointer;
	if (p->in.len == 0) {
		if (p->eof)
			return 0;
		gnutls_transport_set_errno(p->client, EAGAIN);
		return -1;
	}
	if (size > p->in.len)
		size = p->in.len;
	memcpy(to, p->in.ptr, size);
	buffer_consume(&p->in, size);
	return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned ms)
{
	(void)ms;
	return ((struct peer_pair *)pointer)->in.len > 0;
}

void pair_let(struct peer_pair *p, size_t octets)
{
	size_t length = octets < p->out.len ? octets : p->out.len;
	while (length > 0) {
		size_t piece = length < 60000 ? length : 60000;
		assert_int_equal(send(p->fd, p->out.ptr, piece, MSG_NOSIGNAL), piece);
		buffer_consume(&p->out, piece);
		length -= piece;
	}
}

void pair_take(struct peer_pair *p)
{
	static char bytes[256 * 1024];
	ssize_t n;
	while ((n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		if (p->send_count < PEER_SENDS)
			p->sends[p->send_count++] = (size_t)n;
		buffer_append(&p->in, bytes, (size_t)n);
		buffer_append(&p->raw, bytes, (size_t)n);
	}
	if (n == 0)
		p->eof = true;
}

/* --- The connection. --- */

static void set_certificate(struct peer_pair *p, const char *folder, const char *name)
{
	char certificate[600], key[600];
	snprintf(certificate, sizeof(certificate), "%s/%s.pem", folder, name);
	snprintf(key, sizeof(key), "%s/%s.key", folder, name);
	assert_true(gnutls_certificate_set_x509_key_file(
			    p->credentials, certificate, key, GNUTLS_X509_FMT_PEM) >= 0);
	/* shown even where the server names other authorities */
	gnutls_certificate_set_flags(p->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
}

void pair_open_on(struct peer_pair *p, struct tls_thread *thread, const struct wish *wish)
{
	int fds[2];
	memset(p, 0, sizeof(*p));
	int type = wish->stream ? SOCK_STREAM : SOCK_SEQPACKET;
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->fd = fds[1];
	assert_int_equal(tls_init(&p->t, fds[0], false, thread, &stage.snapshot->listeners[0]), 0);
	assert_int_equal(
		gnutls_init(&p->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT |
						GNUTLS_NO_SIGNAL),
		0);
	assert_int_equal(gnutls_priority_set_direct(
				 p->client, wish->priorities ? wish->priorities : "NORMAL", NULL),
		0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&p->credentials), 0);
	if (wish->shown)
		set_certificate(p, stage.folder, wish->shown);
	gnutls_credentials_set(p->client, GNUTLS_CRD_CERTIFICATE, p->credentials);
	const char *name = wish->name ? wish->name : "a.test";
	if (name[0])
		gnutls_server_name_set(p->client, GNUTLS_NAME_DNS, name, strlen(name));
	if (wish->protocol) {
		gnutls_datum_t protocol = {(unsigned char *)(uintptr_t)wish->protocol,
			(unsigned)strlen(wish->protocol)};
		gnutls_alpn_set_protocols(p->client, &protocol, 1, 0);
	}
	if (wish->session)
		assert_int_equal(gnutls_session_set_data(
					 p->client, wish->session->data, wish->session->size),
			0);
	gnutls_transport_set_ptr(p->client, p);
	gnutls_transport_set_push_function(p->client, push);
	gnutls_transport_set_pull_function(p->client, pull);
	gnutls_transport_set_pull_timeout_function(p->client, pull_timeout);
}

void pair_open(struct peer_pair *p, const struct wish *wish)
{
	pair_open_on(p, stage.thread, wish);
}

struct shaken pair_shake(struct peer_pair *p)
{
	struct shaken shaken = {IO_AGAIN, GNUTLS_E_AGAIN};
	for (int turn = 0; turn < 10; turn++) {
		if (shaken.client != 0 && !gnutls_error_is_fatal(shaken.client))
			shaken.client = gnutls_handshake(p->client);
		pair_let(p, SIZE_MAX);
		if (shaken.server == IO_AGAIN)
			shaken.server = p->t.ops->start(&p->t);
		pair_take(p);
	}
	p->alerted = shaken.client == GNUTLS_E_FATAL_ALERT_RECEIVED;
	return shaken;
}

void pair_greet(struct peer_pair *p)
{
	struct shaken shaken = pair_shake(p);
	assert_int_equal(shaken.client, 0);
	assert_int_equal(shaken.server, 1);
}

void pair_say(struct peer_pair *p, const char *text)
{
	assert_int_equal(gnutls_record_send(p->client, text, strlen(text)), strlen(text));
	pair_let(p, SIZE_MAX);
}

const char *pair_hear(struct peer_pair *p)
{
	static char text[512 * 1024];
	size_t used = 0;
	ssize_t n;
	pair_take(p);
	do {
		n = gnutls_record_recv(p->client, text + used, sizeof(text) - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n == GNUTLS_E_AGAIN && p->in.len > 0)); /* a ticket is no data */
	text[used] = 0;
	return text;
}

int pair_alert(struct peer_pair *p)
{
	char octets[64];
	pair_take(p);
	for (int i = 0; i < 8 && !p->alerted; i++)
		p->alerted = gnutls_record_recv(p->client, octets, sizeof(octets)) ==
			     GNUTLS_E_FATAL_ALERT_RECEIVED;
	return p->alerted ? (int)gnutls_alert_get(p->client) : -1;
}

gnutls_datum_t pair_session(struct peer_pair *p)
{
	gnutls_datum_t session;
	assert_int_equal(gnutls_session_get_data2(p->client, &session), 0);
	return session;
}

void pair_close(struct peer_pair *p)
{
	if (p->t.fd >= 0)
		p->t.ops->close(&p->t, false);
	gnutls_deinit(p->client);
	gnutls_certificate_free_credentials(p->credentials);
	close(p->fd);
	buffer_free(&p->in);
	buffer_free(&p->out);
	buffer_free(&p->raw);
}
