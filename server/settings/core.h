/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys that are no handler's: rows of the file, of sites, of sites and routes. */
#ifndef WEIR_SETTINGS_CORE_H
#define WEIR_SETTINGS_CORE_H

#include "settings/load.h"
#include "settings/tls.h"

extern const struct option core_top_rows[];   /* struct core_settings */
extern const struct option core_file_rows[];  /* struct file_written: where the sites are */
extern const struct option core_site_rows[];  /* struct site_written: what only a site has */
extern const struct option core_scope_rows[]; /* struct scope_core: sites and routes */
extern const struct option
	core_listen_rows[]; /* the keys of an item of `listen` that is a mapping */

struct file_written {
	const struct node *include, *sites;
	struct tls_settings tls;
};

/* Where sites and routes are, left for sites.c: they are read when all else is. */
struct site_written {
	const struct node *host, *listen, *routes;
	struct tls_settings tls; /* the file's, and what the site says in place of it */
};

/* Presets that depend on how weir was built and who starts it, over those of the rows. */
void core_presets(struct load *load, struct core_settings *core);

/* rows.c: what the user may have meant by a key that is unknown here. */
int unknown_key(
	struct load *load, const struct node *key, const struct rows_part *parts, size_t count);

/* Custom values (core_values.c). */
option_parse_fn core_keep_node; /* const struct node *: left for later */
option_parse_fn core_log_path;  /* struct slice: a path, "stderr" or "stdout" */
option_parse_fn core_headers;   /* struct header_rules */
option_parse_fn core_hsts;      /* struct slice: the field's value */
option_parse_fn core_trusted;   /* struct trusted_proxies */
option_parse_fn
	core_errors; /* struct error_page *, within struct scope_core, of which it fills more */

#endif
