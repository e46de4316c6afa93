/* SPDX-License-Identifier: BSD-2-Clause */
/* The way from a file to a snapshot, and back to nothing. */
#include "settings/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "settings/sites.h"

enum { TOP_PARTS_MAX = 70 };

static const char EMPTY_ADVICE[] =
	"there is no site; the smallest configuration is sites: [{ listen: \"http://:8080\", root: "
	"www }]";

/* The presets of everybody's settings: those of the file are the snapshot's own, those of sites are copied for each. */
static void prepare_sets(struct load *load)
{
	struct snapshot *snapshot = load->snapshot;
	size_t count = 0;
	while (load->sets->sets && load->sets->sets[count])
		count++;
	const struct option_set **sets =
		arena_zalloc(&snapshot->arena, (count + 1) * sizeof(sets[0]));
	snapshot->top = arena_zalloc(&snapshot->arena, (count + 1) * sizeof(snapshot->top[0]));
	load->prototypes = arena_zalloc(&load->scratch, (count + 1) * sizeof(load->prototypes[0]));
	load->set_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct option_set *set = load->sets->sets[i];
		void *settings = arena_zalloc(&snapshot->arena, set->size);
		rows_preset(load, set->rows, settings);
		load->prototypes[i] = settings;
		if (set->place == OPTION_TOP)
			snapshot->top[i] = settings;
		sets[i] = set;
	}
	snapshot->sets = sets;
	core_presets(load, &snapshot->core);
}

static void read_root(struct load *load, const struct node *root)
{
	struct snapshot *snapshot = load->snapshot;
	struct file_written written = {.include = NULL};
	struct rows_part parts[TOP_PARTS_MAX];
	size_t count = 0;
	if (root->kind == NODE_LIST) {
		load_error(load, root,
			"a mapping (key: value) belongs here, not a list: does \"sites:\" lack above?");
		return;
	}
	parts[count++] = (struct rows_part){core_top_rows, (char *)&snapshot->core};
	parts[count++] = (struct rows_part){core_file_rows, (char *)&written};
	for (size_t i = 0; i < load->set_count; i++) {
		check(count < TOP_PARTS_MAX);
		if (load->sets->sets[i]->place == OPTION_TOP)
			parts[count++] =
				(struct rows_part){load->sets->sets[i]->rows, load->prototypes[i]};
	}
	rows_preset(load, core_file_rows, &written);
	tls_preset(load, &written.tls);
	rows_read(load, root, parts, count, false);
	if (node_member(root, "tls"))
		tls_settle(load, node_member(root, "tls"), &written.tls);
	sites_read(load, &written);
	if (snapshot->site_count == 0 && load->error_count == 0)
		load_error(load, root, "%s", EMPTY_ADVICE);
}

static void read_main(struct load *load)
{
	bool failed;
	const struct config_file *file = load->file;
	const struct node *root = parse_file(load, file, &failed);
	load->root = root;
	if (failed)
		return;
	if (!root || node_is_empty(root))
		fault_at(load, file, 0, 0, 1, 1, "%s", EMPTY_ADVICE);
	else
		read_root(load, root);
	/* also where faults were found before: all are told at once */
	if (load->sets->finish && load->sets->finish(load, load->snapshot, load->sets->context))
		check(load->error_count > 0);
}

/* Nodes end with the load. */
static void forget_nodes(struct snapshot *snapshot)
{
	tls_forget_nodes(snapshot);
	for (size_t i = 0; i < snapshot->site_count; i++) {
		struct site *site = &snapshot->sites[i];
		site->scope.node = NULL;
		for (size_t k = 0; k < site->route_count; k++)
			site->routes[k].scope.node = NULL;
	}
}

static void load_begin(struct load *load, const struct option_sets *sets, bool unprivileged)
{
	memset(load, 0, sizeof(*load));
	arena_init(&load->scratch, NULL, 0);
	load->snapshot = must_zalloc(sizeof(*load->snapshot));
	arena_init(&load->snapshot->arena, NULL, 0);
	load->sets = sets;
	load->unprivileged = unprivileged;
}

/* Tells the faults; the snapshot where there was no error. */
static struct snapshot *load_end(struct load *load, struct buffer *diagnostics)
{
	struct snapshot *snapshot = load->snapshot;
	fault_print(load, diagnostics);
	if (load->error_count == 0) {
		struct buffer *kept = &load->kept.text;
		snapshot->text =
			arena_slice(&snapshot->arena, (struct slice){kept->ptr, kept->len});
		snapshot->loaded = time(NULL);
		forget_nodes(snapshot);
	} else {
		snapshot_free(snapshot);
		snapshot = NULL;
	}
	kept_end(&load->kept);
	arena_reset(&load->scratch);
	return snapshot;
}

static void run(struct load *load, struct config_file *file)
{
	const struct config_file *files[LOAD_FILES_MAX];
	load->files = files;
	load->files[load->file_count++] = file;
	load->file = file;
	load->snapshot->file = arena_slice(&load->snapshot->arena, file->path);
	prepare_sets(load);
	read_main(load);
}

/* The folder of a file as an absolute path without links; its name stays as it is, for it may be a link that is switched. */
static int absolute_path(struct load *load, struct slice source, struct config_file *file)
{
	const char *slash = source.len > 0 ? memrchr(source.ptr, '/', source.len) : NULL;
	size_t length = slash ? (size_t)(slash - source.ptr) : 0;
	struct slice folder =
		slash ? (struct slice){source.ptr, length > 0 ? length : 1} : SLICE(".");
	struct slice name = slash ? slice_from(source, length + 1) : source;
	char *real = realpath(arena_slice(&load->scratch, folder).ptr, NULL);
	if (!real)
		return -1;
	file->folder = arena_slice(&load->scratch, slice_of(real));
	file->path = arena_format(&load->scratch, "%s/%.*s", strcmp(real, "/") == 0 ? "" : real,
		(int)name.len, name.ptr);
	free(real);
	return 0;
}

/* Reads the main file from the disk. */
static int find_main(struct load *load, const char *source, struct config_file *file)
{
	struct arena *scratch = &load->scratch;
	file->name = arena_slice(scratch, slice_of(source));
	int error = absolute_path(load, file->name, file) ? errno : 0;
	if (!error)
		error = kept_read(&load->kept, KEPT_MAIN, scratch, file->path, &file->text);
	if (error) {
		fault_without_place(load, "cannot read %s: %s", source, strerror(error));
		return -1;
	}
	kept_add(&load->kept, KEPT_NAME, file->name, SLICE(""));
	kept_add(&load->kept, KEPT_FOLDER, file->folder, SLICE(""));
	return 0;
}

/* Takes the main file from what was kept. */
static int find_kept(struct load *load, struct config_file *file)
{
	static const struct slice any = {NULL, 0};
	struct arena *scratch = &load->scratch;
	struct slice nothing;
	if (kept_find(&load->kept, KEPT_MAIN, any, &file->path, &file->text) ||
		kept_find(&load->kept, KEPT_NAME, any, &file->name, &nothing) ||
		kept_find(&load->kept, KEPT_FOLDER, any, &file->folder, &nothing))
		return -1;
	file->path = arena_slice(scratch, file->path);
	file->text = arena_slice(scratch, file->text);
	file->name = arena_slice(scratch, file->name);
	file->folder = arena_slice(scratch, file->folder);
	return 0;
}

struct snapshot *snapshot_load(const char *source, struct slice kept,
	const struct option_sets *sets, bool unprivileged, struct buffer *diagnostics)
{
	struct load load;
	struct config_file file = {.order = 0};
	load_begin(&load, sets, unprivileged);
	if (kept_begin(&load.kept, kept) || (kept.ptr && find_kept(&load, &file)))
		fault_without_place(&load, "what was kept of the configuration is damaged");
	else if (kept.ptr || find_main(&load, source, &file) == 0)
		run(&load, &file);
	return load_end(&load, diagnostics);
}

struct snapshot *snapshot_load_text(struct slice text, const char *name, const char *folder,
	const struct option_sets *sets, bool unprivileged, struct buffer *diagnostics)
{
	struct load load;
	load_begin(&load, sets, unprivileged);
	check(kept_begin(&load.kept, (struct slice){NULL, 0}) == 0);
	struct config_file file = {
		.name = arena_slice(&load.scratch, slice_of(name)),
		.folder = arena_slice(&load.scratch, slice_of(folder)),
		.path = arena_format(
			&load.scratch, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name),
		.text = arena_slice(&load.scratch, text),
	};
	kept_add(&load.kept, KEPT_MAIN, file.path, file.text);
	kept_add(&load.kept, KEPT_NAME, file.name, SLICE(""));
	kept_add(&load.kept, KEPT_FOLDER, file.folder, SLICE(""));
	run(&load, &file);
	return load_end(&load, diagnostics);
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	arena_reset(&snapshot->arena);
	free(snapshot);
}

static size_t set_index(const struct snapshot *snapshot, const struct option_set *set)
{
	size_t i = 0;
	while (snapshot->sets[i] && snapshot->sets[i] != set)
		i++;
	check(snapshot->sets[i]);
	return i;
}

bool listener_has_site(const struct listener_settings *listener, const struct site *site)
{
	for (size_t i = 0; i < listener->site_count; i++)
		if (listener->sites[i] == site)
			return true;
	return false;
}

bool site_has_https(const struct snapshot *snapshot, const struct site *site)
{
	for (size_t i = 0; i < snapshot->listener_count; i++)
		if (snapshot->listeners[i].scheme == SCHEME_HTTPS &&
			listener_has_site(&snapshot->listeners[i], site))
			return true;
	return false;
}

const void *scope_settings(
	const struct snapshot *snapshot, const struct scope *scope, const struct option_set *set)
{
	return scope->settings[set_index(snapshot, set)];
}

const void *top_settings(const struct snapshot *snapshot, const struct option_set *set)
{
	return snapshot->top[set_index(snapshot, set)];
}
