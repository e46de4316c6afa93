/* SPDX-License-Identifier: BSD-2-Clause */
/* Who the client is, as backends may believe it. */
#include "handlers/proxy/identity.h"

#include <ctype.h>

#include "base/check.h"
#include "settings/tls.h"

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) != 0;
}

/* CGI and its heirs make one variable of names that differ in what is neither letter nor digit. Compares as many octets as `known` has. */
static bool begins_alike(struct slice name, struct slice known)
{
	if (name.len < known.len)
		return false;
	for (size_t i = 0; i < known.len; i++) {
		bool letter = is_letter(known.ptr[i]);
		if (letter != is_letter(name.ptr[i]) ||
			(letter && tolower((unsigned char)name.ptr[i]) !=
					   tolower((unsigned char)known.ptr[i])))
			return false;
	}
	return true;
}

bool identity_claimed(const struct field *field)
{
	static const struct slice names[] = {{"Forwarded", 9}, {"X-Real-IP", 9},
		{"Client-Cert", 11}, {"Client-Cert-Chain", 17}, {"X-Client-Cert", 13},
		{"X-Client-Subject", 16}, {"X-Client-Verify", 15}};
	switch (field->id) {
	case FIELD_FORWARDED:
	case FIELD_X_FORWARDED_FOR:
	case FIELD_X_FORWARDED_HOST:
	case FIELD_X_FORWARDED_PROTO:
		return true;
	case FIELD_OTHER:
		break;
	default:
		return false;
	}
	if (begins_alike(field->name, SLICE("X-Forwarded-")))
		return true;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (field->name.len == names[i].len && begins_alike(field->name, names[i]))
			return true;
	return false;
}

/* RFC 8941, 3.3.5: octets in base64 between colons. */
static struct slice as_binary(struct arena *arena, struct slice bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = arena_alloc(arena, 4 * ((bytes.len + 2) / 3) + 2), *to = text;
	const unsigned char *from = (const unsigned char *)bytes.ptr;
	*to++ = ':';
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t three = (uint32_t)from[i] << 16 |
				 (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
				 (left > 2 ? from[i + 2] : 0);
		*to++ = digits[three >> 18];
		*to++ = digits[three >> 12 & 63];
		*to++ = left > 1 ? digits[three >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[three & 63] : '=';
	}
	*to++ = ':';
	return (struct slice){text, (size_t)(to - text)};
}

/* RFC 4514, 2.4: any octet may be written as \XX. What is no printing ASCII is, so that it can be a field's value. */
static struct slice as_field(struct arena *arena, struct slice subject)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = arena_alloc(arena, 3 * subject.len + 1), *to = text;
	for (size_t i = 0; i < subject.len; i++) {
		unsigned char octet = (unsigned char)subject.ptr[i];
		if (octet >= ' ' && octet < 0x7f) {
			*to++ = (char)octet;
			continue;
		}
		*to++ = '\\';
		*to++ = digits[octet >> 4];
		*to++ = digits[octet & 15];
	}
	return slice_trim((struct slice){text, (size_t)(to - text)});
}

void identity_add_certificate(struct request *request, struct fields *fields)
{
	const struct peer *peer = request->peer;
	struct arena *arena = &request->arena;
	if (!peer->tls || peer->tls->client_auth == CLIENT_AUTH_OFF)
		return;
	bool shown = peer->client_certificate.len > 0;
	fields_add_named(
		fields, arena, SLICE("X-Client-Verify"), shown ? SLICE("SUCCESS") : SLICE("NONE"));
	if (!shown)
		return;
	fields_add_named(
		fields, arena, SLICE("X-Client-Subject"), as_field(arena, peer->client_subject));
	fields_add_named(
		fields, arena, SLICE("Client-Cert"), as_binary(arena, peer->client_certificate));
}
