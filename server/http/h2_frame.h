/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2's frames as they come, told apart by their heads and judged before nghttp2 sees them, which forgets streams that are closed: what may not be
 * said in their state (RFC 9113, 5.1). */
#ifndef WEIR_HTTP_H2_FRAME_H
#define WEIR_HTTP_H2_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_PREFACE        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LENGTH 24
#define H2_FRAME_HEAD     9
#define H2_CONTINUATIONS  8     /* behind one HEADERS */
#define H2_FRAME_MOST     16384 /* octets in one that a peer may send (RFC 9113, 6.5.2) */

/* RFC 9113, 7. */
enum h2_code {
	H2_NO_ERROR,
	H2_PROTOCOL_ERROR,
	H2_INTERNAL_ERROR,
	H2_FLOW_CONTROL_ERROR,
	H2_SETTINGS_TIMEOUT,
	H2_STREAM_CLOSED,
	H2_FRAME_SIZE_ERROR,
	H2_REFUSED_STREAM,
	H2_CANCEL,
	H2_COMPRESSION_ERROR,
	H2_CONNECT_ERROR,
	H2_ENHANCE_YOUR_CALM,
	H2_INADEQUATE_SECURITY,
	H2_HTTP_1_1_REQUIRED,
};

/* RFC 9113, 6; the others are extensions. */
enum h2_frame_type {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE,
	H2_CONTINUATION,
	H2_PRIORITY_UPDATE = 16,
};

enum { H2_FLAG_END_STREAM = 1, H2_FLAG_ACK = 1, H2_FLAG_END_HEADERS = 4, H2_FLAG_PADDED = 8 };

#define H2_WINDOW_MOST ((1U << 31) - 1) /* RFC 9113, 6.9.1 */

struct h2_frame_head {
	uint32_t length;
	uint8_t type;
	uint8_t flags;
	int32_t stream;
};

/* All zero but for what h2_frames_init sets. */
struct h2_frames {
	uint32_t left;               /* of the preface, or of the frame under way */
	uint8_t head[H2_FRAME_HEAD]; /* what has come of a head that is not whole */
	uint8_t have;
	uint8_t peek[6];       /* octets of a payload that is looked at */
	uint8_t peeked;        /* of them */
	uint8_t sought;        /* how many are to be looked at together; 0: none (any more) */
	uint8_t continuations; /* of the header section under way */
	uint8_t type;          /* of the frame under way */
	bool block;            /* a header section goes on in the next frame */
	bool client;           /* they come from a server */
	bool hollow; /* DATA without content, which ends no stream: for who asks to take back */
	bool refused; /* the stream that was begun last did not become one: for who asks to take back */
	uint32_t window;   /* the largest INITIAL_WINDOW_SIZE of the SETTINGS under way */
	int32_t stream;    /* of the frame under way */
	int32_t last_seen; /* the highest stream that the client began */
	int32_t last_open; /* the highest that became one here */
	int32_t forgiven; /* frames of closed streams up to this one may be under way: they were reset here */
	int32_t skipped_from, skipped_to; /* ids that were never used */
	int32_t prioritized
		[4]; /* streams that had a PRIORITY_UPDATE before they began: the last ones */
};

/* `client`: the preface does not come, but is sent. */
void h2_frames_init(struct h2_frames *f, bool client);
/* Takes octets of a head. True: it is whole, and *head is set. *used says how many it took. */
bool h2_frames_head(struct h2_frames *f, const char *bytes, size_t length, size_t *used,
	struct h2_frame_head *head);
/* May this frame come now? `open`: its stream is. */
enum h2_code h2_frames_judge(struct h2_frames *f, const struct h2_frame_head *head, bool open);
/* Takes octets of the payload. */
enum h2_code h2_frames_payload(struct h2_frames *f, const char *bytes, size_t length);
/* A stream was opened; was reset here, so that the peer may not know yet. */
void h2_frames_opened(struct h2_frames *f, int32_t stream);
void h2_frames_forgive(struct h2_frames *f, int32_t stream);
/* A stream was begun here. */
void h2_frames_began(struct h2_frames *f, int32_t stream);
/* Had the stream a PRIORITY_UPDATE before it began? */
bool h2_frames_prioritized(const struct h2_frames *f, int32_t stream);
/* Is it in the middle of a header section? */
bool h2_frames_in_head(const struct h2_frames *f);
/* Or of a frame at all? */
bool h2_frames_amid(const struct h2_frames *f);

#endif
