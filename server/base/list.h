/* SPDX-License-Identifier: BSD-2-Clause */
/* Doubly linked lists whose links stand inside the members. */
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A list's head and its members are the same: a ring. A member that is in no list has next == NULL. */
struct link {
	struct link *next;
	struct link *prev;
};

static inline void list_init(struct link *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool link_listed(const struct link *link)
{
	return link->next != NULL;
}

static inline void list_append(struct link *head, struct link *link)
{
	link->next = head;
	link->prev = head->prev;
	head->prev->next = link;
	head->prev = link;
}

static inline void list_prepend(struct link *head, struct link *link)
{
	link->prev = head;
	link->next = head->next;
	head->next->prev = link;
	head->next = link;
}

/* Takes the member out of its list; nothing happens when it is in none. */
static inline void list_remove(struct link *link)
{
	if (!link->next)
		return;
	link->next->prev = link->prev;
	link->prev->next = link->next;
	link->next = link->prev = NULL;
}

/* Moves all of `from` behind the last of `to`; `from` is empty then. */
static inline void list_move(struct link *to, struct link *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_each(at, head) for (struct link *at = (head)->next; at != (head); at = at->next)
/* The current member may be taken out, and no other. */
#define list_each_safe(at, head)                                                                   \
	for (struct link *at = (head)->next, *at##_next = at->next; at != (head);                  \
		at = at##_next, at##_next = at->next)

#endif
