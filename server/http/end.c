/* SPDX-License-Identifier: BSD-2-Clause */
/* The reasons for which exchanges end: their codes in logs and what they mean. */
#include "http/end.h"

#include "base/check.h"

static const struct end_row rows[END_COUNT] = {
	[END_COMPLETE] = {"-", "The answer was sent whole, and nothing stood in its way."},
	[END_CLIENT_GONE] = {"client-gone", "The client closed or reset the connection first."},
	[END_CLIENT_HEADER] = {"client-header",
		"The head of the request was not whole within timeouts.header."},
	[END_CLIENT_BODY] = {"client-body",
		"No octet of the request's body came within timeouts.body."},
	[END_CLIENT_SEND] = {"client-send",
		"The client took no octet of the answer within timeouts.send."},
	[END_CLIENT_RATE] = {"client-rate", "The client was slower than min_rate."},
	[END_BAD_HEAD] = {"bad-head",
		"The head of the request was malformed or could be read in two ways."},
	[END_BAD_BODY] = {"bad-body", "The framing of the request's body was malformed."},
	[END_BODY_SIZE] = {"body-size", "The request's body was larger than body_size."},
	[END_TARGET_SIZE] = {"target-size", "The target of the request was too long."},
	[END_HEAD_SIZE] = {"head-size",
		"The head of the request, or its trailers, were larger than header_size allows."},
	[END_EXPECTATION] = {"expectation", "The request expected what is not offered."},
	[END_MISDIRECTED] = {"misdirected", "No site answers for the host of the request here."},
	[END_UNSUPPORTED] = {"unsupported",
		"The method, the transfer coding or the version is not offered."},
	[END_CONNECTIONS] = {"connections",
		"There were as many connections as limits.connections allows: nothing was read."},
	[END_BACKEND_CONNECT] = {"backend-connect", "No server could be connected to."},
	[END_BACKEND_TIMEOUT] = {"backend-timeout", "The backend did not answer in time."},
	[END_BACKEND_MALFORMED] = {"backend-malformed",
		"The answer of the backend was malformed or could be read in two ways."},
	[END_BACKEND_CLOSED] = {"backend-closed",
		"The backend closed the connection before its answer was whole."},
	[END_BACKEND_DOWN] = {"backend-down", "No server of the backend is known to be there."},
	[END_BACKEND_BUSY] = {"backend-busy", "The backend took no more requests."},
	[END_TUNNEL_IDLE] = {"tunnel-idle", "A tunnel was silent for too long."},
	[END_CIRCLE] = {"circle", "The request came round in a circle of proxies."},
	[END_FILE_CHANGED] = {"file-changed",
		"The file was written to or cut while it was sent, so that the connection was "
		"ended."},
	[END_DISK_ERROR] = {"disk-error", "A file could not be read, or not in time."},
	[END_SHUTDOWN] = {"shutdown", "weir stopped, or the time to drain was over."},
	[END_INTERNAL] = {"internal", "weir itself could not go on; the error log says more."},
};

const struct end_row *end_row(enum exchange_end end)
{
	check((unsigned)end < END_COUNT && rows[end].code);
	return &rows[end];
}

enum exchange_end end_of_head(unsigned status)
{
	switch (status) {
	case 408:
		return END_CLIENT_HEADER;
	case 413:
		return END_BODY_SIZE;
	case 414:
		return END_TARGET_SIZE;
	case 417:
		return END_EXPECTATION;
	case 421:
		return END_MISDIRECTED;
	case 431:
		return END_HEAD_SIZE;
	case 501:
	case 505:
		return END_UNSUPPORTED;
	default:
		return END_BAD_HEAD;
	}
}

enum exchange_end end_of_body(unsigned status)
{
	switch (status) {
	case 0:
		return END_CLIENT_GONE;
	case 408:
		return END_CLIENT_BODY;
	case 413:
		return END_BODY_SIZE;
	case 431:
		return END_HEAD_SIZE;
	default:
		return END_BAD_BODY;
	}
}
