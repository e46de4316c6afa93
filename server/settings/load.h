/* SPDX-License-Identifier: BSD-2-Clause */
/* One loading, as the files of this room share it: the files that were read, their nodes, the faults found. */
#ifndef WEIR_SETTINGS_LOAD_H
#define WEIR_SETTINGS_LOAD_H

#include "settings/kept.h"
#include "settings/snapshot.h"

enum {
	LOAD_DEPTH_MAX = 32,        /* mappings and lists in each other */
	LOAD_NODES_MAX = 500000,    /* in all files together */
	LOAD_FILES_MAX = 2000,      /* includes */
	LOAD_INCLUDE_DEPTH_MAX = 8, /* includes in each other */
	LOAD_FAULTS_SHOWN = 50,
	LOAD_FAULTS_HELD = 1000, /* no more are remembered, and no near names looked for */
};

/* A text that is read as YAML. */
struct config_file {
	struct slice name;   /* for diagnostics: as somebody would write it, NUL behind it */
	struct slice path;   /* absolute */
	struct slice folder; /* absolute: relative paths count from here */
	struct slice text;
	const struct config_file *includer; /* NULL: the main file */
	unsigned order;                     /* of reading: for sorting faults */
};

struct node {
	enum node_kind kind;
	bool plain; /* a scalar without quotes: may be a word of the language such as off */
	unsigned line, column; /* from 1; columns count characters */
	size_t start, end;     /* octets of the file's text; lists and mappings: where they begin */
	const struct config_file *file;
	struct slice text;
	size_t count;
	const struct node **items;
	const struct node **keys; /* mappings */
};

struct fault {
	struct fault *next;
	const struct config_file *file; /* NULL: `text` is all there is */
	size_t number;                  /* of finding */
	unsigned line, column;
	size_t start, end;
	bool warning;
	struct slice text;
};

struct load {
	struct arena scratch; /* nodes and faults: gone when the load ends */
	struct snapshot *snapshot;
	struct kept kept;
	const struct option_sets *sets;
	size_t set_count;
	void **prototypes;       /* by set: a struct with the presets */
	const struct node *root; /* of the main file; NULL: not read yet, or not to be read */
	const struct config_file *file; /* the one that is being read */
	const struct config_file **files;
	size_t file_count;
	size_t node_count;
	struct fault *faults;
	size_t fault_count;
	size_t error_count; /* of them: not only warnings */
	bool unprivileged;
};

/* fault.c: a fault at a place of the text that has no node. */
void fault_at(struct load *load, const struct config_file *file, size_t start, size_t end,
	unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 7, 8)));
/* A fault that stands in no file. */
void fault_without_place(struct load *load, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Writes all faults in the order of the files and lines. */
void fault_print(const struct load *load, struct buffer *to);

/* parse.c: the root node of a file's text: NULL when it is empty, or after a fault (then *failed is set).
 * Nodes live in load->scratch. */
const struct node *parse_file(struct load *load, const struct config_file *file, bool *failed);
/* The length of the UTF-8 sequence at `text`, or 0 where there is none that a configuration may hold (controls but for
 * tabs and line ends among them). */
size_t parse_utf8_length(const char *text, size_t left);
/* A value as a row's preset has it: a scalar, or what begins with [ or {. A bad one is a bug. */
const struct node *parse_preset(struct load *load, const char *text);

/* A plain scalar without text: "key:" with nothing behind it. */
static inline bool node_is_empty(const struct node *node)
{
	return node->kind == NODE_SCALAR && node->plain && node->text.len == 0;
}
/* off, false or no, without quotes. */
bool node_is_off(const struct node *node);
/* on, true or yes, without quotes. */
bool node_is_on(const struct node *node);

/* Rows and the struct that they fill. */
struct rows_part {
	const struct option *rows;
	char *base;
};
/* Writes the presets of the rows. */
void rows_preset(struct load *load, const struct option *rows, void *base);
/* Writes what the mapping says into those parts that know its keys; a key that none knows is an error. `inherited`:
 * required keys may be missing, since another mapping had them. 0 or -1. */
int rows_read(struct load *load, const struct node *mapping, const struct rows_part *parts,
	size_t count, bool inherited);

#endif
