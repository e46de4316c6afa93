/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 on a connection, from the octets that a peer sends to those that it gets, in pieces of sizes that the input chooses too: whatever comes, what
 * is sent is frames, each exchange ends once, and nothing is left behind. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "http/h2_frame.h"
#include "http/respond.h"
#include "wire/wire_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS = 400, LARGE = 70000 };

/* --- A transport of memory. --- */

struct memory {
	const uint8_t *data;
	size_t size, at, preface; /* of the input; how much of the preface was read */
	size_t read_piece, write_piece;
	unsigned writes;
	bool closed;
	uint8_t head[H2_FRAME_HEAD]; /* of the frame that is sent */
	size_t have, left;
};

static ssize_t memory_read(struct transport *t, void *to, size_t size)
{
	struct memory *m = t->state;
	size_t most = size < m->read_piece ? size : m->read_piece;
	if (m->preface < H2_PREFACE_LENGTH) {
		size_t n = H2_PREFACE_LENGTH - m->preface;
		n = n < most ? n : most;
		memcpy(to, &H2_PREFACE[m->preface], n);
		m->preface += n;
		return (ssize_t)n;
	}
	size_t n = m->size - m->at;
	n = n < most ? n : most;
	if (n == 0)
		return m->writes > 20 ? IO_EOF : IO_AGAIN;
	memcpy(to, m->data + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

/* What is sent is frames of a server. */
static void check_frame(const uint8_t *head)
{
	size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	bool of_stream = head[3] == H2_DATA || head[3] == H2_HEADERS || head[3] == H2_RST_STREAM ||
			 head[3] == H2_CONTINUATION;
	check(length <= 16384);
	check(of_stream || head[3] == H2_SETTINGS || head[3] == H2_PING || head[3] == H2_GOAWAY ||
		head[3] == H2_WINDOW_UPDATE);
	check(!of_stream || head[8] % 2 == 1 || head[3] == H2_RST_STREAM);
}

static void take_octet(struct memory *m, uint8_t octet)
{
	if (m->left) {
		m->left--;
		return;
	}
	m->head[m->have++] = octet;
	if (m->have < H2_FRAME_HEAD)
		return;
	check_frame(m->head);
	m->have = 0;
	m->left = (size_t)m->head[0] << 16 | (size_t)m->head[1] << 8 | m->head[2];
}

static ssize_t memory_write(struct transport *t, const struct iovec *iov, int count, bool more)
{
	struct memory *m = t->state;
	size_t taken = 0;
	(void)more;
	if (++m->writes % 3 == 0) {
		t->wants = TRANSPORT_WRITE;
		return IO_AGAIN;
	}
	for (int i = 0; i < count && taken < m->write_piece; i++)
		for (size_t n = 0; n < iov[i].iov_len && taken < m->write_piece; n++, taken++)
			take_octet(m, ((const uint8_t *)iov[i].iov_base)[n]);
	return (ssize_t)taken;
}

static int memory_finish(struct transport *t)
{
	(void)t;
	return 1;
}

static void memory_close(struct transport *t, bool reset)
{
	struct memory *m = t->state;
	(void)reset;
	check(!m->closed);
	m->closed = true;
	close(t->fd);
}

static const struct transport_ops memory_ops = {
	.read = memory_read,
	.write = memory_write,
	.finish = memory_finish,
	.close = memory_close,
};

/* --- Handlers: what the path begins with says which. --- */

static struct ready *greeting;
static unsigned held, ended;

static void held_gone(struct request *request)
{
	(void)request;
	held--;
}

static enum verdict handle(struct request *request)
{
	static const char octets[LARGE];
	struct source *body = request->body;
	request->response.status = 200;
	request->response.length = LENGTH_UNKNOWN;
	switch (request->target.path.len > 1 ? request->target.path.ptr[1] : 0) {
	case 'r':
		exchange_ready(request, greeting);
		return TAKEN;
	case 'l':
		request->response.length = LARGE;
		exchange_respond(request, respond_spans(request, NULL, octets, LARGE));
		return TAKEN;
	case 'h':
		held++;
		exchange_hold(request, held_gone, NULL);
		return TAKEN;
	case 'e':
		if (!body)
			return PASS;
		request->body = NULL;
		if (request->upgrade.len)
			request->response.status = 101;
		exchange_respond(request, body);
		return TAKEN;
	default:
		return PASS;
	}
}

static void observe(struct request *request)
{
	check(request->output == OUTPUT_DONE);
	ended++;
}

static const struct handler handler = {.name = "fuzz", .handle = handle, .observe = observe};
static const struct handler *const table[] = {&handler, NULL};

/* --- One connection. --- */

static struct loop loop;
static struct snapshot snapshot;
static struct counters counters;
static struct exchange_thread thread = {
	.table = table, .loop = &loop, .snapshot = &snapshot, .counters = &counters};
static struct scope_core scope_core;
static struct site site = {.name = {"fuzz", 4}, .scope = {.core = &scope_core, .chain = table}};
static const struct site *sites[] = {&site};
static struct listener_settings settings = {.sites = sites, .site_count = 1, .fallback = &site};

static void begin(void)
{
	struct fields none = {0};
	if (greeting)
		return;
	site.scope.site = &site;
	snapshot.core.limits.connections = 10;
	snapshot.core.limits.header_size = 2048;
	snapshot.core.limits.body_size = 20000;
	snapshot.core.limits.header_timeout = snapshot.core.limits.body_timeout = 10000;
	snapshot.core.limits.idle_timeout = snapshot.core.limits.send_timeout = 10000;
	check(loop_init(&loop, 0) == 0);
	thread.clock = &loop.clock;
	exchange_thread_prepare(&thread);
	greeting = ready_make(200, &none, 5, "hello", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];
	struct wire_shared shared = {0};
	if (size < 2)
		return 0;
	begin();
	struct memory m = {.data = data + 2, .size = size - 2};
	m.read_piece = data[0] ? data[0] * 16u : 65536;
	m.write_piece = data[1] ? data[1] * 16u : 65536;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	struct wire *wire = wire_start(&thread, &shared, NULL, NULL);
	struct listener listener = {.settings = &settings};
	struct address peer = {.length = sizeof(sa_family_t), .any = {.sa_family = AF_UNIX}};
	check(wire_accept(&listener, pair[1], &peer, wire));
	struct conn *c = container_of(wire->conns.prev, struct conn, link);
	c->transport = (struct transport){.ops = &memory_ops, .state = &m, .fd = pair[1]};
	check(write(pair[0], "!", 1) == 1); /* there is always something to read */
	for (int i = 0; i < TURNS && !m.closed; i++) {
		ev_run(loop.ev, EVRUN_NOWAIT);
		if (i == TURNS / 2)
			wire_drain(wire);
	}
	wire_stop(wire);
	thread.draining = false;
	check(m.closed && held == 0 && counter_read(&counters, COUNTER_REQUESTS_OPEN) == 0);
	check((uint64_t)counter_read(&counters, COUNTER_REQUESTS) == ended);
	check(greeting->ref.count == 1);
	close(pair[0]);
	return 0;
}
