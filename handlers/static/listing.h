/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a folder that has no index: what is in it, readable without scripts. */
#ifndef WEIR_STATIC_LISTING_H
#define WEIR_STATIC_LISTING_H

#include "handlers/file/file.h"
#include "http/request.h"

#define LISTING_PAGE 1000 /* entries on one page */

/* What the request's query asks of a listing ("page=2&sort=size&order=desc"), in one spelling, so that no query makes a page of its own:
 * empty for what is shown by default. In the arena. */
struct slice listing_query(struct request *request);

/* A file_list_fn. Pages beyond the last one are missing. */
int listing_page(const struct file_directory *directory, struct slice query, struct buffer *page);

#endif
