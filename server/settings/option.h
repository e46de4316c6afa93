/* SPDX-License-Identifier: BSD-2-Clause */
/* How rooms and handlers declare the keys that they obey: each key once, beside the code that uses it.
 * The loader, the JSON Schema and the manual's reference all come from these rows. */
#ifndef WEIR_SETTINGS_OPTION_H
#define WEIR_SETTINGS_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/bytes.h"

/* What a row's value is and which C type stands at its offset. */
enum option_type {
	OPTION_BOOL,     /* bool: on off true false yes no */
	OPTION_INTEGER,  /* int64_t */
	OPTION_SIZE,     /* int64_t bytes */
	OPTION_DURATION, /* int64_t milliseconds */
	OPTION_STRING,   /* struct slice, NUL behind it */
	OPTION_PATH, /* struct slice, NUL behind it; relative ones become absolute by the file that names them */
	OPTION_ENUM,    /* int: index into `words` */
	OPTION_STRINGS, /* struct option_list of slices: one string or a list of them */
	OPTION_GROUP, /* a mapping with rows of its own, written into the same struct: their offsets count from its beginning
			  * plus this row's offset, which is 0 as a rule. Several sets may have a group of one name: the
			  * mapping's keys are then dealt among them. */
	OPTION_CUSTOM, /* whatever `parse` makes of the node; `off` and the like are its business too. In a route the target holds
			  * what the site said, and what that points to is shared with the site: replace, do not write there. */
};

/* Modifiers of a row. */
enum {
	OPTION_OFF =
		1, /* `off` is allowed as well: numbers become -1, slices { NULL, 0 }, groups set the bool `switch_offset` to false */
	OPTION_ON =
		2, /* groups: `on` is allowed and takes the presets (in a route: the site's values); a mapping means on */
	OPTION_AUTO = 4, /* `auto` is allowed as well: numbers become 0 */
	OPTION_REQUIRED =
		8, /* leaving it out is an error at the mapping (not in a route: the site has it) */
	OPTION_ITEMS =
		16, /* custom ones with rows: the value is one mapping with these keys or a list of them */
};

struct option_list {
	struct slice *items;
	size_t count;
};

struct node; /* a place in the configuration's text */
struct load; /* one loading: arena, diagnostics, the file that is being read */

/* Writes what the node says to `target` (the settings struct + offset). 0, or -1 after load_error. */
typedef int option_parse_fn(struct load *load, const struct node *node, void *target);

struct option {
	const char *name; /* a row without a name ends the list */
	enum option_type type;
	unsigned flags;
	size_t offset;
	size_t switch_offset; /* groups that may be off or on: where the bool is, in the whole struct; its first value is the preset's */
	int64_t min, max;     /* numbers; both 0: any that is not negative */
	const char *preset;   /* the default as it would be written; NULL: none (zero bytes) */
	const char *const *words; /* enumerations: ended by NULL */
	const struct option *
		rows; /* groups; custom ones: the keys of each member, where the value is a mapping of names that the
				      * user chooses (upstreams) or OPTION_ITEMS: for `parse` to give to load_rows, and for schema and manual */
	option_parse_fn *parse; /* custom ones */
	const char *schema;  /* custom ones without rows: JSON Schema of the value, as JSON text */
	const char *example; /* as it would be written */
	const char *prose;   /* for the manual: one or two sentences, no markup */
};

/* Where a set of rows applies. */
enum option_place {
	OPTION_TOP,  /* keys of the file */
	OPTION_SITE, /* keys of sites and routes: a route inherits the site's values */
};

/* The keys of one room or handler in one place. The loader makes one struct of `size` bytes a place (the file; each
 * site; each route, a copy of its site's with what it changes), fills it with the presets and then with what is written. */
struct option_set {
	const char *owner; /* "static" */
	enum option_place place;
	size_t size;
	const struct option *rows;
};

/* --- For custom values: reading nodes. The text of a node is valid as long as the load. --- */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };
enum node_kind node_kind(const struct node *node);
struct slice node_text(const struct node *node); /* scalars */
size_t node_count(const struct node *node);      /* lists and mappings */
const struct node *node_item(
	const struct node *node, size_t index); /* a list's item, a mapping's value */
const struct node *node_key(const struct node *node, size_t index); /* a mapping's key */
const struct node *node_member(
	const struct node *node, const char *key); /* a mapping's value by key, or NULL */

/* The mapping of the main file, or NULL. */
const struct node *load_root(const struct load *load);

/* Reports a fault at the node: file:line:column, the line, a caret, the text, what to write. The load goes on, so that
 * all faults are told, and fails at its end. Always returns -1. */
int load_error(struct load *load, const struct node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Likewise, but the load does not fail. */
void load_warn(struct load *load, const struct node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Where what lasts as long as the snapshot is allocated. */
struct arena *load_arena(struct load *load);
/* An absolute path: relative ones are taken from the folder of the file that is being read (in `finish`: the main file).
 * NUL-terminated, in the arena, without slashes at its end. */
struct slice load_path(struct load *load, struct slice written);
/* Whether a configuration that was good once is loaded again from what was kept of it, by a worker after a crash: what the
 * disk says now (a folder that is just being exchanged) is no reason to refuse it then. */
bool load_is_replay(const struct load *load);
/* Fills a struct by rows from a mapping, as the loader does for groups; presets first. 0 or -1. */
int load_rows(
	struct load *load, const struct node *mapping, const struct option *rows, void *target);
/* Keeps the contents of a file that is configuration too (a list of addresses, a certificate) among what a worker after
 * a crash loads again. Returns the contents (arena), or { NULL, 0 } after an error at the node. */
struct slice load_file(struct load *load, const struct node *node, struct slice path);
/* Which device holds a folder (a NUL-terminated path). A worker after a crash hears what was found then and touches no disk. 0, or an errno. */
int load_device(struct load *load, struct slice path, dev_t *device);

#endif
