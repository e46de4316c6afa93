/* SPDX-License-Identifier: BSD-2-Clause */
/* What may stand beside a file and answer for it. */
#include "handlers/file/variant.h"

#include "base/check.h"
#include "http/accept.h"

#define ENCODED (1u << VARIANT_ZSTD | 1u << VARIANT_BROTLI | 1u << VARIANT_GZIP)
#define IMAGES  (1u << VARIANT_AVIF | 1u << VARIANT_WEBP)

static const struct variant_row rows[VARIANT_COUNT] = {
	[VARIANT_SELF] = {"", {NULL, 0}, {NULL, 0}},
	[VARIANT_ZSTD] = {".zst", {"zstd", 4}, {NULL, 0}},
	[VARIANT_BROTLI] = {".br", {"br", 2}, {NULL, 0}},
	[VARIANT_GZIP] = {".gz", {"gzip", 4}, {NULL, 0}},
	[VARIANT_AVIF] = {".avif", {NULL, 0}, {"image/avif", 10}},
	[VARIANT_WEBP] = {".webp", {NULL, 0}, {"image/webp", 10}},
};

const struct variant_row *variant_row(enum variant variant)
{
	check(variant < VARIANT_COUNT);
	return &rows[variant];
}

unsigned variant_possible(struct slice type)
{
	return slice_starts(type, SLICE("image/")) ? ENCODED | IMAGES : ENCODED;
}

struct slice variant_vary(unsigned variants)
{
	if (variants & ENCODED)
		return variants & IMAGES ? SLICE("Accept, Accept-Encoding")
					 : SLICE("Accept-Encoding");
	return variants & IMAGES ? SLICE("Accept") : SLICE("");
}

/* The image format that is liked at least as well as the file's own. */
static enum variant choose_image(struct slice accept, unsigned variants, struct slice type)
{
	const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
	if (semicolon)
		type.len = (size_t)(semicolon - type.ptr);
	unsigned best = accept_quality(accept, type, true);
	enum variant choice = VARIANT_SELF;
	for (unsigned v = VARIANT_AVIF; v <= VARIANT_WEBP; v++) {
		if (!(variants & 1u << v))
			continue;
		unsigned quality = accept_quality(accept, rows[v].type, false);
		if (quality > best || (quality == best && quality && choice == VARIANT_SELF)) {
			best = quality;
			choice = v;
		}
	}
	return choice;
}

/* RFC 9110, 12.5.3: the coding of highest weight; not coded at all only where that is liked better, or nothing else is there. */
static enum variant choose_coding(struct slice accept, unsigned variants, unsigned identity)
{
	unsigned best = identity;
	enum variant choice = identity ? VARIANT_SELF : VARIANT_NONE;
	for (unsigned v = VARIANT_ZSTD; v <= VARIANT_GZIP; v++) {
		if (!(variants & 1u << v))
			continue;
		unsigned quality = accept_encoding_quality(accept, rows[v].coding);
		if (quality > best || (quality == best && quality && choice == VARIANT_SELF)) {
			best = quality;
			choice = v;
		}
	}
	return choice;
}

enum variant variant_choose(
	const struct fields *request, struct arena *arena, unsigned variants, struct slice type)
{
	struct slice accept = fields_joined(request, arena, FIELD_ACCEPT_ENCODING);
	unsigned identity = accept_encoding_quality(accept, SLICE("identity"));
	if (variants & IMAGES && identity) {
		enum variant image =
			choose_image(fields_joined(request, arena, FIELD_ACCEPT), variants, type);
		if (image != VARIANT_SELF)
			return image;
	}
	return choose_coding(accept, variants, identity);
}
