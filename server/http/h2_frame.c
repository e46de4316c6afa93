/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads of HTTP/2's frames, and what they may say of which stream. */
#include "http/h2_frame.h"

#include <string.h>

#include "base/check.h"

void h2_frames_init(struct h2_frames *f)
{
	*f = (struct h2_frames){.left = H2_PREFACE_LENGTH, .peeked = sizeof f->peek};
}

bool h2_frames_head(struct h2_frames *f, const char *bytes, size_t length, size_t *used,
	struct h2_frame_head *head)
{
	size_t missing = (size_t)(H2_FRAME_HEAD - f->have);
	*used = missing < length ? missing : length;
	memcpy(f->head + f->have, bytes, *used);
	f->have += (uint8_t)*used;
	if (f->have < H2_FRAME_HEAD)
		return false;
	const uint8_t *h = f->head;
	*head = (struct h2_frame_head){
		.length = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2],
		.type = h[3],
		.flags = h[4],
		.stream = (h[5] & 0x7f) << 24 | h[6] << 16 | h[7] << 8 | h[8],
	};
	f->have = 0;
	f->left = head->length;
	f->type = head->type;
	f->stream = head->stream;
	return true;
}

static enum h2_code judge_closed(
	const struct h2_frames *f, const struct h2_frame_head *head, bool open)
{
	if (open || head->stream % 2 == 0 || head->stream > f->last_open ||
		head->stream <= f->forgiven)
		return H2_NO_ERROR;
	if (head->type == H2_HEADERS && head->stream >= f->skipped_from &&
		head->stream <= f->skipped_to)
		return H2_PROTOCOL_ERROR; /* RFC 9113, 5.1.1 */
	return H2_STREAM_CLOSED;          /* 5.1 */
}

static void note_new(struct h2_frames *f, int32_t stream)
{
	f->refused = f->last_seen > f->last_open;
	if (f->refused)
		f->forgiven = f->last_seen;
	int32_t next = f->last_seen ? f->last_seen + 2 : 1;
	if (stream > next) {
		if (!f->skipped_from)
			f->skipped_from = next;
		f->skipped_to = stream - 2;
	}
	f->last_seen = stream;
}

enum h2_code h2_frames_judge(struct h2_frames *f, const struct h2_frame_head *head, bool open)
{
	f->peeked = sizeof f->peek;
	switch (head->type) {
	case H2_HEADERS:
		f->continuations = 0;
		f->block = !(head->flags & H2_FLAG_END_HEADERS);
		if (head->stream % 2 == 0 || head->stream <= f->last_seen)
			return judge_closed(f, head, open);
		note_new(f, head->stream);
		return H2_NO_ERROR;
	case H2_DATA:
		return judge_closed(f, head, open);
	case H2_CONTINUATION:
		f->block = !(head->flags & H2_FLAG_END_HEADERS);
		if (head->length > H2_FRAME_MOST)
			return H2_FRAME_SIZE_ERROR; /* 4.2; nghttp2 looks at the other types only */
		return ++f->continuations > H2_CONTINUATIONS ? H2_ENHANCE_YOUR_CALM : H2_NO_ERROR;
	case H2_PRIORITY:
		f->peeked = 0;
		return head->stream == 0 ? H2_PROTOCOL_ERROR : H2_NO_ERROR; /* 6.3 */
	case H2_PRIORITY_UPDATE:
		f->peeked = 0;
		return H2_NO_ERROR;
	default:
		return H2_NO_ERROR;
	}
}

/* The first four octets of PRIORITY and PRIORITY_UPDATE name a stream. */
static enum h2_code judge_peeked(struct h2_frames *f)
{
	int32_t named = (f->peek[0] & 0x7f) << 24 | f->peek[1] << 16 | f->peek[2] << 8 | f->peek[3];
	if (f->type == H2_PRIORITY)
		return named == f->stream ? H2_PROTOCOL_ERROR : H2_NO_ERROR; /* RFC 7540, 5.3.1 */
	if (named == 0)
		return H2_PROTOCOL_ERROR; /* RFC 9218, 7.1 */
	if (named > f->last_seen)
		f->prioritized[named / 2 % (int)COUNT_OF(f->prioritized)] = named;
	return H2_NO_ERROR;
}

enum h2_code h2_frames_payload(struct h2_frames *f, const char *bytes, size_t length)
{
	enum h2_code code = H2_NO_ERROR;
	for (size_t i = 0; i < length && f->peeked < sizeof f->peek; i++) {
		f->peek[f->peeked++] = (uint8_t)bytes[i];
		if (f->peeked == sizeof f->peek)
			code = judge_peeked(f);
	}
	f->left -= (uint32_t)length;
	return code;
}

void h2_frames_opened(struct h2_frames *f, int32_t stream)
{
	f->last_open = stream;
}

void h2_frames_forgive(struct h2_frames *f, int32_t stream)
{
	if (stream > f->forgiven)
		f->forgiven = stream;
}

bool h2_frames_prioritized(const struct h2_frames *f, int32_t stream)
{
	return f->prioritized[stream / 2 % (int)COUNT_OF(f->prioritized)] == stream;
}

bool h2_frames_in_head(const struct h2_frames *f)
{
	return f->block || (f->left > 0 && (f->type == H2_HEADERS || f->type == H2_CONTINUATION));
}

bool h2_frames_amid(const struct h2_frames *f)
{
	return f->left > 0 || f->have > 0 || f->block;
}
