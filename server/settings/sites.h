/* SPDX-License-Identifier: BSD-2-Clause */
/* Sites while they are read, before they become the snapshot's arrays. */
#ifndef WEIR_SETTINGS_SITES_H
#define WEIR_SETTINGS_SITES_H

#include "settings/core.h"

enum { LISTENERS_MAX = 1024 };

struct site_reading {
	struct site site;
	const struct node *node;
	const struct node **host_nodes; /* as many as site.hosts */
	struct tls_settings *tls;       /* its own; NULL: the file's */
};

/* An address that a site named. */
struct listen_entry {
	struct address address;
	bool wildcard;
	bool optional;
	enum scheme scheme;
	struct slice text;
	size_t site;  /* index */
	int listener; /* index, once known */
	const struct node *node;
};

struct sites {
	struct load *load;
	const struct tls_settings *tls; /* the file's */
	struct buffer sites;            /* of struct site_reading */
	struct buffer listens;          /* of struct listen_entry */
};

/* sites.c: reads `sites` and `include` of the main file, and all that those lead to, into the snapshot. 0 or -1. */
int sites_read(struct load *load, const struct file_written *written);
/* listeners.c: reads a site's `listen`, appends to sites->listens. 0 or -1. */
int listen_read(struct sites *sites, const struct node *node, size_t site);
/* listeners.c: makes the snapshot's listeners of what the sites named, and tells what contradicts. 0 or -1. */
int listeners_make(struct sites *sites);
/* include.c: reads the files that an `include` names, one after the other, and gives the root of each that is a list to
 * `take`, while load->file is that file. 0 or -1. */
int include_read(struct sites *sites, const struct node *node,
	int (*take)(struct sites *sites, const struct node *list));

#endif
