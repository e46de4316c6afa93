/* SPDX-License-Identifier: BSD-2-Clause */
/* Targets and hosts: what passes is normal (reading it again changes nothing), and no reader who
 * decodes first, splits at backslashes or cuts parameters off finds a ".." in it. The first octet
 * chooses the method. */
#include <stdlib.h>

#include "base/check.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A reader of another kind: everything decoded, "\" a separator, segments end at ";". */
static void check_other_reader(struct slice path)
{
	char *plain = malloc(path.len + 1);
	size_t n = 0, begin = 0;
	check(plain);
	for (size_t i = 0; i < path.len; i++) {
		char c = path.ptr[i];
		if (c == '%') {
			check(path.len - i >= 3);
			int high = bytes_hex_digit((unsigned char)path.ptr[i + 1]);
			int low = bytes_hex_digit((unsigned char)path.ptr[i + 2]);
			check(high >= 0 && low >= 0 && (high | low) != 0);
			c = (char)(high << 4 | low);
			i += 2;
		}
		plain[n++] = c == '\\' ? '/' : c;
	}
	plain[n] = '/';
	for (size_t i = 0; i <= n; i++) {
		if (plain[i] != '/')
			continue;
		const char *parameters = memchr(plain + begin, ';', i - begin);
		size_t end = parameters ? (size_t)(parameters - plain) : i;
		struct slice segment = {plain + begin, end - begin};
		check(!slice_equal(segment, SLICE("..")) && !slice_equal(segment, SLICE(".")));
		begin = i + 1;
	}
	free(plain);
}

static void check_path(const struct target *t, struct arena *arena)
{
	struct target again;
	struct slice decoded;
	check(t->path.len > 0 && t->path.ptr[0] == '/');
	for (size_t i = 0; i < t->path.len; i++)
		check((octet_class[(unsigned char)t->path.ptr[i]] & OCTET_TARGET) &&
			t->path.ptr[i] != '?');
	check(target_parse(t->path, METHOD_GET, arena, &again) == 0);
	check(slice_equal(again.path, t->path) && again.query.ptr == NULL);
	check(again.path.ptr == t->path.ptr);
	check(target_decode(t->path, arena, &decoded) == 0);
	check(decoded.len <= t->path.len && !memchr(decoded.ptr, '\0', decoded.len));
	check((decoded.ptr == t->path.ptr) == !memchr(t->path.ptr, '%', t->path.len));
	check(decoded.ptr == t->path.ptr || decoded.ptr[decoded.len] == '\0');
	check_other_reader(t->path);
}

static void check_host(struct slice text, struct arena *arena)
{
	struct slice host, again;
	int port, none;
	if (host_parse(text, arena, &host, &port) != 0)
		return;
	check(host.len > 0 && host.len <= 255 && port >= -1 && port <= 65535);
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];
		check((octet_class[(unsigned char)c] & OCTET_HOST) && !(c >= 'A' && c <= 'Z'));
		check(c != ':' || host.ptr[0] == '[');
	}
	check(host.ptr[host.len - 1] != '.');
	check(host_parse(host, arena, &again, &none) == 0);
	check(slice_equal(host, again) && none == -1 &&
		again.ptr == (host.ptr[0] == '[' ? again.ptr : host.ptr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum method methods[] = {
		METHOD_GET, METHOD_CONNECT, METHOD_OPTIONS, METHOD_OTHER};
	struct arena arena;
	struct target t;
	struct slice decoded;
	if (size == 0)
		return 0;
	enum method method = methods[data[0] % COUNT_OF(methods)];
	struct slice text = {(const char *)data + 1, size - 1};
	arena_init(&arena, NULL, 0);
	if (target_parse(text, method, &arena, &t) == 0) {
		check((method == METHOD_CONNECT) == (t.form == TARGET_AUTHORITY));
		check(t.form != TARGET_ASTERISK || method == METHOD_OPTIONS);
		check((t.form == TARGET_ABSOLUTE) == (t.scheme.len > 0));
		check(t.form != TARGET_ORIGIN || text.ptr[0] == '/');
		if (t.form == TARGET_ORIGIN || t.form == TARGET_ABSOLUTE)
			check_path(&t, &arena);
		for (size_t i = 0; i < t.query.len; i++)
			check(octet_class[(unsigned char)t.query.ptr[i]] & OCTET_QUERY);
	}
	target_decode(text, &arena, &decoded);
	check_host(text, &arena);
	arena_reset(&arena);
	return 0;
}
