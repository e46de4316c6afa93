/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys such as handlers declare, for the tests of this room: a row of each type, in sites and in the file. */
#ifndef WEIR_TESTS_SETTINGS_SAMPLE_H
#define WEIR_TESTS_SETTINGS_SAMPLE_H

#include "settings/snapshot.h"

struct sample {
	struct slice root;
	struct option_list index;
	bool listing;
	int symlinks;
	int64_t min_size;
	struct {
		bool on;
		int64_t level;
		struct {
			int64_t age;
		} deep;
	} compress;
	struct slice proxy;
};

struct sample_top {
	int64_t burst;
	struct slice list; /* the contents of a file */
	int64_t share;     /* in the core's group `limits` */
	int64_t weights;
};

extern const struct option_set sample_site, sample_top;
extern const struct option_set *const sample_list[]; /* both, ended by NULL */

/* Loads a text as "weir.yaml" in /etc/weir, as for root. */
struct snapshot *sample_load(const char *text, struct buffer *diagnostics);
const struct sample *sample_of(const struct snapshot *snapshot, const struct scope *scope);

#endif
