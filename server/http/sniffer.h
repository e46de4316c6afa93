/* SPDX-License-Identifier: BSD-2-Clause */
/* Who tells media types from content. Made by process/, which keeps the library out of everybody's way. */
#ifndef WEIR_HTTP_SNIFFER_H
#define WEIR_HTTP_SNIFFER_H

#include <stddef.h>

#define SNIFFER_TYPE_MAX 64

/* One a worker; called by any of its I/O threads. */
struct sniffer {
	/* Writes the type that content beginning with these bytes seems to have, "image/png", with its NUL; "" where it cannot tell. What
	 * it says comes from whoever wrote the content: see mime_passive. May block. */
	void (*type)(struct sniffer *sniffer, const void *bytes, size_t length,
		char type[SNIFFER_TYPE_MAX]);
};

#endif
