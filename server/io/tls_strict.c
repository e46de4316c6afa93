/* SPDX-License-Identifier: BSD-2-Clause */
/* What RFC 8446 demands of a ClientHello and GnuTLS does not look at. A message that is cut where GnuTLS reads it as well is left to
 * GnuTLS, which has the alert for that. */
#include "io/tls_strict.h"

enum {
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_GROUPS = 10,
	EXTENSION_SIGNATURES = 13,
	EXTENSION_PSK = 41,
	EXTENSION_PSK_MODES = 45,
	EXTENSION_SHARES = 51,
};
enum { AES_128_GCM_SHA256 = 0x1301, AES_256_GCM_SHA384 = 0x1302 };
enum { RECORD_CHANGE = 20, RECORD_ALERT = 21 };
/* What AEAD ciphers of TLS 1.2 put around nothing: with an explicit nonce, and without. */
enum { EMPTY_GCM = 24, EMPTY_CHACHA = 16 };

/* --- Pieces. --- */

/* A number of `octets` octets from the front; false: it is not there. */
static bool take_number(struct slice *s, unsigned octets, size_t *number)
{
	*number = 0;
	if (s->len < octets)
		return false;
	for (unsigned i = 0; i < octets; i++)
		*number = *number << 8 | (unsigned char)s->ptr[i];
	*s = slice_from(*s, octets);
	return true;
}

/* A vector whose length stands in `octets` octets before it. */
static bool take_vector(struct slice *s, unsigned octets, struct slice *vector)
{
	size_t length;
	if (!take_number(s, octets, &length) || s->len < length)
		return false;
	*vector = (struct slice){s->ptr, length};
	*s = slice_from(*s, length);
	return true;
}

/* --- Extensions. --- */

/* One list of numbers of two octets, at least one of them. */
static int read_pairs(struct slice data)
{
	struct slice list;
	bool whole = take_vector(&data, 2, &list) && data.len == 0;
	return whole && list.len > 0 && list.len % 2 == 0 ? STRICT_GOOD : STRICT_DECODE_ERROR;
}

/* No two names of one type (RFC 6066, 3). */
static int read_names(struct slice data)
{
	struct slice list, name;
	size_t type;
	bool seen[256] = {false};
	if (!take_vector(&data, 2, &list) || data.len > 0 || list.len == 0)
		return STRICT_DECODE_ERROR;
	while (list.len > 0) {
		if (!take_number(&list, 1, &type) || !take_vector(&list, 2, &name))
			return STRICT_DECODE_ERROR;
		if (seen[type])
			return STRICT_ILLEGAL_PARAMETER;
		seen[type] = true;
	}
	return STRICT_GOOD;
}

/* As many binders as identities, none of either empty (RFC 8446, 4.2.11). */
static int read_psk(struct slice data)
{
	struct slice identities, binders, one;
	size_t count = 0, age;
	if (!take_vector(&data, 2, &identities) || !take_vector(&data, 2, &binders) || data.len > 0)
		return STRICT_DECODE_ERROR;
	for (; identities.len > 0; count++) {
		if (!take_vector(&identities, 2, &one) || one.len == 0 ||
			!take_number(&identities, 4, &age))
			return STRICT_DECODE_ERROR;
	}
	if (count == 0)
		return STRICT_DECODE_ERROR;
	for (; binders.len > 0; count--) {
		if (!take_vector(&binders, 1, &one) || one.len < 32)
			return STRICT_DECODE_ERROR;
		if (count == 0)
			return STRICT_ILLEGAL_PARAMETER;
	}
	return count == 0 ? STRICT_GOOD : STRICT_ILLEGAL_PARAMETER;
}

static int read_extension(struct strict_hello *hello, size_t type, struct slice data)
{
	switch (type) {
	case EXTENSION_SERVER_NAME:
		return read_names(data);
	case EXTENSION_GROUPS:
		hello->groups = true;
		return read_pairs(data);
	case EXTENSION_SIGNATURES:
		hello->signatures = true;
		return read_pairs(data);
	case EXTENSION_PSK:
		hello->psk = true;
		return read_psk(data);
	case EXTENSION_PSK_MODES:
		hello->psk_modes = true;
		return STRICT_GOOD;
	case EXTENSION_SHARES:
		hello->shares = true;
		return STRICT_GOOD;
	default:
		return STRICT_GOOD;
	}
}

/* --- The hello. --- */

static bool has_suite(struct slice suites, unsigned wanted)
{
	size_t suite;
	while (take_number(&suites, 2, &suite)) {
		if (suite == wanted)
			return true;
	}
	return false;
}

int strict_hello_read(struct strict_hello *hello, struct slice body)
{
	struct slice session, suites, compression, extensions, data;
	size_t type;
	*hello = (struct strict_hello){0};
	body = slice_from(body, 2 + 32);
	if (!take_vector(&body, 1, &session) || !take_vector(&body, 2, &suites) ||
		!take_vector(&body, 1, &compression) || !take_vector(&body, 2, &extensions))
		return STRICT_GOOD;
	hello->sha384 =
		!has_suite(suites, AES_128_GCM_SHA256) && has_suite(suites, AES_256_GCM_SHA384);
	hello->plain = compression.len == 1 && compression.ptr[0] == 0;
	while (extensions.len > 0) {
		if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, &data))
			return STRICT_DECODE_ERROR;
		int alert = read_extension(hello, type, data);
		if (alert != STRICT_GOOD)
			return alert;
	}
	return STRICT_GOOD;
}

int strict_hello_newest(const struct strict_hello *hello)
{
	if (!hello->plain)
		return STRICT_ILLEGAL_PARAMETER; /* RFC 8446, 4.1.2 */
	if (hello->groups != hello->shares ||
		(!hello->psk && (!hello->groups || !hello->signatures)) ||
		(hello->psk && !hello->psk_modes))
		return STRICT_MISSING_EXTENSION; /* 9.2, 4.2.9 */
	return STRICT_GOOD;
}

/* --- Records. --- */

/* Nothing stands before a hello or between its parts; an alert and a change of ciphers say something. */
static int judge_header(const struct strict_records *records, enum strict_phase phase)
{
	unsigned type = records->header[0], length = records->left;
	if (type == RECORD_CHANGE && (phase == STRICT_HELLO || length != 1))
		return STRICT_UNEXPECTED_MESSAGE;
	if (type == RECORD_ALERT && phase == STRICT_DATA_1_2 &&
		(length == EMPTY_GCM || length == EMPTY_CHACHA))
		return STRICT_UNEXPECTED_MESSAGE;
	return STRICT_GOOD;
}

int strict_records_take(struct strict_records *records, enum strict_phase phase, struct slice bytes)
{
	while (bytes.len > 0) {
		if (records->left > 0) {
			size_t skipped = bytes.len < records->left ? bytes.len : records->left;
			records->left -= (uint16_t)skipped;
			bytes = slice_from(bytes, skipped);
			continue;
		}
		records->header[records->have++] = (unsigned char)bytes.ptr[0];
		bytes = slice_from(bytes, 1);
		if (records->have < sizeof(records->header))
			continue;
		records->have = 0;
		records->left = (uint16_t)(records->header[3] << 8 | records->header[4]);
		int alert = judge_header(records, phase);
		if (alert != STRICT_GOOD)
			return alert;
	}
	return STRICT_GOOD;
}
