/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a request is answered as it is: ordered entries with names, written by those who decide, read as JSON or as lines for people.
 * No I/O. Whoever serves has none (NULL), and tells nothing. */
#ifndef WEIR_HTTP_EXPLAIN_H
#define WEIR_HTTP_EXPLAIN_H

#include <stdarg.h>

#include "base/arena.h"

enum explain_kind {
	EXPLAIN_TEXT,
	EXPLAIN_NUMBER,
	EXPLAIN_FLAG,
	EXPLAIN_NOTHING, /* null */
	EXPLAIN_GROUP,   /* entries with names */
	EXPLAIN_LIST,    /* groups or texts without */
};

struct explain_entry {
	struct explain_entry *next, *parent;
	struct explain_entry *first, *last; /* of a group or list */
	const char *name;                   /* static; NULL: of a list */
	enum explain_kind kind;
	struct slice text;
	uint64_t number; /* or flag */
};

/* Lives on one thread at a time. Who finds something out on another thread writes to one of its own, which is copied: explain_copy. */
struct explanation {
	struct arena arena;
	struct explain_entry root;
	struct explain_entry *at;      /* the group or list that is written */
	struct explain_entry *handler; /* of the chain, that has the request; NULL: none has */
	bool elsewhere; /* what the answer is somebody else decides, who is not asked: the exchange goes no further */
};

void explain_init(struct explanation *e);
void explain_free(struct explanation *e);

/* Each writes an entry into what is open; one of the same name is replaced where it stands. Names are static; texts are copied. With
 * NULL for `e` nothing is done. In a list the name is NULL. */
void explain_text(struct explanation *e, const char *name, struct slice text);
void explain_format(struct explanation *e, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void explain_number(struct explanation *e, const char *name, uint64_t number);
void explain_flag(struct explanation *e, const char *name, bool flag);
void explain_nothing(struct explanation *e, const char *name);
/* Opens a group or list: what follows goes into it, until explain_close. One of the same name is gone on with. */
void explain_group(struct explanation *e, const char *name);
void explain_list(struct explanation *e, const char *name);
void explain_close(struct explanation *e);
/* Goes to an entry: what follows is written there. Returns where it was, to go back. */
struct explain_entry *explain_enter(struct explanation *e, struct explain_entry *entry);

/* Writes all entries of another explanation into what is open. */
void explain_copy(struct explanation *e, const struct explanation *from);

/* The entry of that name in a group, or NULL; its text, or "". */
struct explain_entry *explain_find(const struct explain_entry *group, const char *name);
struct slice explain_told(const struct explain_entry *group, const char *name);

/* All of it as one JSON object and a line's end. Octets that are no UTF-8 are taken for ISO 8859-1, as in the access log. */
void explain_json(const struct explanation *e, struct buffer *to);
/* All of it as lines for people: names in one column, values in the next, what belongs to an entry further in below it. A group says its
 * first text in its own line and its `why` behind that; in a list the first text stands for its name. Octets that are no
 * UTF-8, and controls, are written as \xNN. */
void explain_lines(const struct explanation *e, struct buffer *to);

#endif
