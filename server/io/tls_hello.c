/* SPDX-License-Identifier: BSD-2-Clause */
/* What the client's first message decides: certificate, rules, the key of its tickets; whether its own certificate is believed; and which
 * alert it hears when it may not come in. */
#include <ctype.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "base/check.h"
#include "io/tls_priv.h"

/* --- Tickets. --- */

/* A key for each set of rules, out of the one master: GnuTLS cannot even open a ticket that it gave out under others. It decrypts tickets,
 * those of TLS 1.2 and 1.3, after the hook of the hello has run. The hash of the suite that will be chosen belongs to it as well: of a ticket
 * with another one GnuTLS makes an error, not a whole handshake. */
static int make_ticket_key(struct tls_thread *thread, const struct tls_rules_id *id)
{
	if (thread->ticket_key_set && memcmp(&thread->id, id, sizeof(*id)) == 0)
		return 0;
	thread->ticket_key_set = false;
	int error = gnutls_hmac_fast(GNUTLS_MAC_SHA512, thread->master, sizeof(thread->master), id,
		sizeof(*id), thread->ticket_key);
	if (error)
		return error;
	thread->id = *id;
	thread->ticket_key_set = true;
	return 0;
}

/* Where clients show certificates there are none: each is verified each time. */
static int enable_tickets(struct tls *tls)
{
	struct tls_thread *thread = tls->thread;
	struct tls_rules_id id = {.sha384 = tls->hello.sha384};
	memcpy(id.identity, tls->context->identity, sizeof(id.identity));
	int error = make_ticket_key(thread, &id);
	gnutls_datum_t key = {thread->ticket_key, sizeof(thread->ticket_key)};
	return error ? error : gnutls_session_ticket_enable_server(tls->session, &key);
}

/* --- The hello. --- */

/* What GnuTLS does not look at. Alerts are by tls_alert. */
static int refuse(struct tls *tls, int alert)
{
	if (alert == STRICT_GOOD)
		return 0;
	tls->alert = (int16_t)alert;
	return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
}

static int before_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
	const gnutls_datum_t *message)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	(void)type, (void)when;
	if (!incoming)
		return 0;
	tls->heard = true;
	return refuse(tls, strict_hello_read(&tls->hello,
				   (struct slice){(const char *)message->data, message->size}));
}

static void keep_name(struct tls *tls, const char *name, size_t length)
{
	if (length == 0)
		return;
	tls->name = must_alloc(length);
	for (size_t i = 0; i < length; i++)
		tls->name[i] = (char)tolower((unsigned char)name[i]);
	tls->facts.name = (struct slice){tls->name, length};
}

static int judge_client(gnutls_session_t session);

static int take_rules(struct tls *tls)
{
	const struct tls_context *context = tls->context;
	tls->facts.rules = context->rules;
	int error = gnutls_priority_set(tls->session, context->priorities);
	if (!error)
		error = gnutls_credentials_set(
			tls->session, GNUTLS_CRD_CERTIFICATE, context->credentials);
	if (error)
		return error;
	if (context->rules->client_auth == CLIENT_AUTH_OFF)
		return enable_tickets(tls);
	gnutls_session_set_verify_function(tls->session, judge_client);
	gnutls_certificate_server_set_request(tls->session,
		context->rules->client_auth == CLIENT_AUTH_REQUIRED ? GNUTLS_CERT_REQUIRE
								    : GNUTLS_CERT_REQUEST);
	return 0;
}

/* Called again after a HelloRetryRequest: the second hello may not be about somebody else. */
static int on_hello(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	char name[TLS_NAME_MAX];
	size_t length = sizeof(name);
	unsigned type = 0;
	if (gnutls_server_name_get(session, name, &length, &type, 0) || type != GNUTLS_NAME_DNS)
		length = 0;
	while (length > 0 && name[length - 1] == 0)
		length--;
	const struct tls_context *context =
		tls_store_find(tls->store, tls->listener, (struct slice){name, length});
	if (tls->context)
		return context == tls->context ? 0 : GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	tls->context = context;
	keep_name(tls, name, length);
	return take_rules(tls);
}

/* The version was chosen before the rules were known: GnuTLS makes a lower one of it where these lack 1.3, but stumbles where they have
 * nothing else. */
static int after_hello(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	int error = on_hello(session);
	if (error)
		return error;
	if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3)
		return tls_offers(tls->context->priorities, GNUTLS_TLS1_3)
			       ? refuse(tls, strict_hello_newest(&tls->hello))
			       : 0;
	return tls_offers(tls->context->priorities, GNUTLS_TLS1_2)
		       ? 0
		       : refuse(tls, GNUTLS_A_PROTOCOL_VERSION);
}

void tls_hello_init(struct tls *tls)
{
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_handshake_set_post_client_hello_function(tls->session, after_hello);
	gnutls_handshake_set_hook_function(
		tls->session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, before_hello);
}

/* --- The client's certificate. --- */

static gnutls_alert_description_t alert_of_status(unsigned status)
{
	if (status & GNUTLS_CERT_REVOKED)
		return GNUTLS_A_CERTIFICATE_REVOKED;
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA))
		return GNUTLS_A_UNKNOWN_CA;
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return GNUTLS_A_CERTIFICATE_EXPIRED;
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
	return GNUTLS_A_BAD_CERTIFICATE;
}

/* One that is shown must be good, also where none is needed: a client that believes to be known must not be served as somebody else. */
static int judge_client(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	gnutls_typed_vdata_st use = {
		GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
	unsigned status = 0, count = 0;
	if (!gnutls_certificate_get_peers(session, &count) || count == 0)
		return tls->context->rules->client_auth == CLIENT_AUTH_REQUIRED
			       ? GNUTLS_E_CERTIFICATE_REQUIRED
			       : 0;
	int error = gnutls_certificate_verify_peers(session, &use, 1, &status);
	if (error == 0 && status == 0)
		return 0;
	tls->alert = (int16_t)(error ? GNUTLS_A_BAD_CERTIFICATE : alert_of_status(status));
	return GNUTLS_E_CERTIFICATE_ERROR;
}

/* --- Alerts. --- */

gnutls_alert_description_t tls_alert(const struct tls *tls, int error)
{
	bool newest = gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3;
	if (tls->alert >= 0)
		return (gnutls_alert_description_t)tls->alert;
	switch (error) {
	case GNUTLS_E_NO_CERTIFICATE_FOUND: /* RFC 5246, 7.4.6 */
	case GNUTLS_E_CERTIFICATE_REQUIRED: /* RFC 8446, 4.4.2.4 */
		return newest ? GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE;
	case GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS:
	case GNUTLS_E_TOO_MANY_EMPTY_PACKETS:
	case GNUTLS_E_UNEXPECTED_PACKET:
		return GNUTLS_A_UNEXPECTED_MESSAGE;
	default:
		return (gnutls_alert_description_t)gnutls_error_to_alert(error, NULL);
	}
}
