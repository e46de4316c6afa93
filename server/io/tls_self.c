/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes certificates: one that stands in for a better one, and those of a local authority. */
#include "io/tls_self.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <time.h>

enum { AN_HOUR = 3600, A_DAY = 24 * 3600, SERIAL_SIZE = 16, COMMON_NAME_MAX = 64 };

static int set_name(gnutls_x509_crt_t c, const char *name)
{
	unsigned char address[16];
	if (inet_pton(AF_INET, name, address) == 1)
		return gnutls_x509_crt_set_subject_alt_name(
			c, GNUTLS_SAN_IPADDRESS, address, 4, GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, name, address) == 1)
		return gnutls_x509_crt_set_subject_alt_name(
			c, GNUTLS_SAN_IPADDRESS, address, 16, GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(
		c, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int set_subject(gnutls_x509_crt_t c, const struct tls_self *self)
{
	const char *name = self->common_name      ? self->common_name
			   : self->name_count > 0 ? self->names[0].ptr
						  : "weir";
	size_t length = strlen(name);
	if (length > COMMON_NAME_MAX) /* RFC 5280, A.1: ub-common-name */
		name = "weir", length = 4;
	int result = gnutls_x509_crt_set_dn_by_oid(
		c, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)length);
	for (size_t i = 0; result == 0 && i < self->name_count && !self->authority; i++)
		result = set_name(c, self->names[i].ptr);
	return result;
}

static int permit(gnutls_x509_name_constraints_t constraints, const char *name)
{
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)name, (unsigned)strlen(name)}, range;
	if (!strchr(name, '/'))
		return gnutls_x509_name_constraints_add_permitted(
			constraints, GNUTLS_SAN_DNSNAME, &text);
	int result = gnutls_x509_cidr_to_rfc5280(name, &range);
	if (result)
		return result;
	result = gnutls_x509_name_constraints_add_permitted(
		constraints, GNUTLS_SAN_IPADDRESS, &range);
	gnutls_free(range.data);
	return result;
}

/* RFC 5280, 4.2.1.10: whoever trusts it trusts it for these alone. */
static int set_constraints(gnutls_x509_crt_t c, const struct tls_self *self)
{
	gnutls_x509_name_constraints_t constraints;
	if (!self->authority || self->name_count == 0)
		return 0;
	int result = gnutls_x509_name_constraints_init(&constraints);
	if (result)
		return result;
	for (size_t i = 0; result == 0 && i < self->name_count; i++)
		result = permit(constraints, self->names[i].ptr);
	if (result == 0)
		result = gnutls_x509_crt_set_name_constraints(c, constraints, 1);
	gnutls_x509_name_constraints_deinit(constraints);
	return result;
}

static int set_times(gnutls_x509_crt_t c, const struct tls_self *self)
{
	time_t now = time(NULL);
	int result = gnutls_x509_crt_set_activation_time(c, now - AN_HOUR);
	if (result == 0)
		result = gnutls_x509_crt_set_expiration_time(c, now + (time_t)self->days * A_DAY);
	return result;
}

static int set_serial(gnutls_x509_crt_t c)
{
	unsigned char serial[SERIAL_SIZE];
	int result = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
	return result ? result : gnutls_x509_crt_set_serial(c, serial, sizeof(serial));
}

static int set_uses(gnutls_x509_crt_t c, const struct tls_self *self)
{
	int result =
		gnutls_x509_crt_set_basic_constraints(c, self->authority, self->authority ? 0 : -1);
	if (result == 0)
		result = gnutls_x509_crt_set_key_usage(
			c, self->authority ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
					   : GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (result == 0 && !self->authority)
		result = gnutls_x509_crt_set_key_purpose_oid(c, GNUTLS_KP_TLS_WWW_SERVER, 0);
	return result;
}

/* Key identifiers tell those who verify which authority's key it was. */
static int set_identifiers(gnutls_x509_crt_t c, const struct tls_self *self)
{
	unsigned char id[64];
	size_t size = sizeof(id);
	int result = gnutls_x509_crt_get_key_id(c, GNUTLS_KEYID_USE_SHA1, id, &size);
	if (result == 0)
		result = gnutls_x509_crt_set_subject_key_id(c, id, size);
	size = sizeof(id);
	if (result == 0 && self->issuer &&
		gnutls_x509_crt_get_subject_key_id(self->issuer, id, &size, NULL) == 0)
		result = gnutls_x509_crt_set_authority_key_id(c, id, size);
	return result;
}

/* What was set can be read only of one that was read: the library keeps it in two places. */
static int read_again(gnutls_x509_crt_t written, gnutls_x509_crt_t *made)
{
	gnutls_datum_t der;
	int result = gnutls_x509_crt_export2(written, GNUTLS_X509_FMT_DER, &der);
	if (result)
		return result;
	result = gnutls_x509_crt_init(made);
	if (result == 0) {
		result = gnutls_x509_crt_import(*made, &der, GNUTLS_X509_FMT_DER);
		if (result)
			gnutls_x509_crt_deinit(*made);
	}
	gnutls_free(der.data);
	return result;
}

int tls_self_make(const struct tls_self *self, gnutls_privkey_t key, gnutls_pubkey_t public,
	gnutls_x509_crt_t *made)
{
	gnutls_x509_crt_t c;
	int result = gnutls_x509_crt_init(&c);
	if (result)
		return result;
	result = gnutls_x509_crt_set_version(c, 3);
	if (result == 0)
		result = gnutls_x509_crt_set_pubkey(c, public);
	if (result == 0)
		result = set_serial(c);
	if (result == 0)
		result = set_subject(c, self);
	if (result == 0)
		result = set_times(c, self);
	if (result == 0)
		result = set_uses(c, self);
	if (result == 0)
		result = set_constraints(c, self);
	if (result == 0)
		result = set_identifiers(c, self);
	if (result == 0)
		result = gnutls_x509_crt_privkey_sign(c, self->issuer ? self->issuer : c,
			self->issuer ? self->issuer_key : key, GNUTLS_DIG_SHA256, 0);
	if (result == 0)
		result = read_again(c, made);
	gnutls_x509_crt_deinit(c);
	return result;
}
