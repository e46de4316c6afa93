/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said of a client's way here: whatever stands further left, the word of the proxy at the right end counts, and what is passed
 * on is addresses, a scheme and a host. */
#include "http/client.h"

#include <netinet/in.h>

#include "base/check.h"
#include "http/handler.h"
#include "http/token.h"

enum { LINES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_trail(const struct request *request)
{
	const struct trail *trail = request->trail;
	char text[INET6_ADDRSTRLEN];
	check(trail && (trail->count == 0) == (request->client == request->peer->address));
	for (unsigned i = 0; i < trail->count; i++) {
		struct address address;
		check(value_ip(trail->addresses[i], &address) == 0);
		size_t length = client_text(&address, text);
		check(slice_equal(trail->addresses[i], (struct slice){text, length}));
	}
	if (trail->count) {
		size_t length = client_text(request->client, text);
		check(slice_equal(trail->addresses[0], (struct slice){text, length}));
	}
	check(!trail->proto.len || slice_equal(trail->proto, SLICE("http")) ||
		slice_equal(trail->proto, SLICE("https")));
	for (size_t i = 0; i < trail->host.len; i++)
		check((unsigned char)trail->host.ptr[i] > 0x20 && trail->host.ptr[i] != ',' &&
			trail->host.ptr[i] != '"' && trail->host.ptr[i] != '\\');
}

/* One more line, from the peer itself, that names 198.51.100.7. */
static void check_right_end(struct request *request, enum field_id id)
{
	static const unsigned char expected[] = {198, 51, 100, 7};
	if (id == FIELD_FORWARDED && fields_find(&request->fields, FIELD_X_FORWARDED_FOR))
		return;
	fields_add(&request->fields, &request->arena, id,
		id == FIELD_FORWARDED ? SLICE("for=198.51.100.7") : SLICE("198.51.100.7"));
	client_identify(request);
	check(request->trail->count == 1 && request->client->any.sa_family == AF_INET);
	check(memcmp(&request->client->v4.sin_addr, expected, sizeof(expected)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum field_id ids[] = {FIELD_X_FORWARDED_FOR, FIELD_FORWARDED,
		FIELD_X_FORWARDED_PROTO, FIELD_X_FORWARDED_HOST};
	static struct network network = {.bits = 8, .octets = {10}};
	static struct snapshot snapshot = {.core = {.trusted = {&network, 1, false}}};
	static struct exchange_thread thread = {.snapshot = &snapshot};
	struct address address;
	struct peer peer = {.address = &address};
	struct request request = {.thread = &thread, .peer = &peer, .major = 1};
	check(value_ip(SLICE("10.0.0.1"), &address) == 0);
	arena_init(&request.arena, NULL, 0);
	for (size_t begin = 0, i = 0; i <= size && request.fields.count < LINES_MAX; i++) {
		if (i < size && data[i] != '\n')
			continue;
		if (i > begin) {
			struct slice value = {(const char *)data + begin + 1, i - begin - 1};
			if (field_value_valid(value))
				fields_add(&request.fields, &request.arena,
					ids[data[begin] % COUNT_OF(ids)], slice_trim(value));
		}
		begin = i + 1;
	}
	client_identify(&request);
	check_trail(&request);
	check_right_end(&request, FIELD_FORWARDED);
	check_right_end(&request, FIELD_X_FORWARDED_FOR);
	arena_reset(&request.arena);
	return 0;
}
