/* SPDX-License-Identifier: BSD-2-Clause */
/* What of `acme` can be seen to fail before it is tried: no program, names that nobody would answer for. */
#include "process/acme_check.h"

#include <limits.h>
#include <stdlib.h>

#include "process/acme_plan.h"
#include "settings/tls.h"

static const struct node *node_of(struct load *load, const struct tls_settings *tls)
{
	return tls_node(tls, "acme", load_root(load));
}

/* A worker that replaces a dead one serves what there is: its helper will say what it lacks. */
int acme_check(struct load *load, const struct snapshot *snapshot)
{
	char room[PATH_MAX];
	if (load_is_replay(load) || acme_program(room, sizeof(room)))
		return 0;
	for (size_t i = 0; i < snapshot->tls_count; i++)
		if (snapshot->tls[i].acme.on)
			return load_error(load, node_of(load, &snapshot->tls[i]),
				"certificates are obtained by the program uacme, which is neither in PATH "
				"nor in the usual places: install it (Debian: apt-get install uacme), or "
				"name files in \"certificates\"");
	return 0;
}

/* Whatever sites listen there: the handler answers for any name. */
static bool has_http(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->listener_count; i++)
		if (snapshot->listeners[i].scheme == SCHEME_HTTP &&
			snapshot->listeners[i].address.any.sa_family != AF_UNIX)
			return true;
	return false;
}

void acme_advise(struct load *load, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *tls = &snapshot->tls[i];
		for (size_t k = 0; k < tls->pair_count; k++) {
			const struct tls_pair *pair = &tls->pairs[k];
			const struct node *node = pair->node ? pair->node : node_of(load, tls);
			for (size_t n = 0; pair->acme && n < pair->name_count; n++) {
				struct slice name = pair->names[n];
				if (!has_http(snapshot))
					load_warn(load, node,
						"no certificate can be had for %.*s as it is: the authority asks "
						"for it by http at port 80, where nobody listens: write \"http://:80\" into "
						"the `listen` of a site",
						(int)name.len, name.ptr);
			}
		}
	}
}
