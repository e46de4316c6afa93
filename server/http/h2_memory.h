/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for nghttp2, which asks for ten small pieces a request, and for one large one a session that is never in use between two calls. */
#ifndef WEIR_HTTP_H2_MEMORY_H
#define WEIR_HTTP_H2_MEMORY_H

#include <stddef.h>

/* nghttp2 writes each frame into a buffer of its session, which was allocated with it. Who copies the frame at once, as we do, needs one buffer a
 * thread: while this is set, a piece of exactly that size is the thread's. */
struct h2_memory {
	size_t shared_size; /* 0: none */
};

/* As malloc, free, calloc and realloc; `context` is a struct h2_memory. Who frees is the thread that has allocated. */
void *h2_memory_alloc(size_t size, void *context);
void h2_memory_free(void *memory, void *context);
void *h2_memory_zalloc(size_t count, size_t size, void *context);
void *h2_memory_realloc(void *memory, size_t size, void *context);
/* Gives this thread's pools back to the allocator. */
void h2_memory_trim(void);

#endif
