/* SPDX-License-Identifier: BSD-2-Clause */
/* The values of the core's keys that no row can describe: places of logs, field rules, error pages. */
#include "settings/core.h"

#include "base/check.h"

enum { RULES_MAX = 1000 };

int core_keep_node(struct load *load, const struct node *node, void *target)
{
	(void)load;
	*(const struct node **)target = node;
	return 0;
}

int core_log_path(struct load *load, const struct node *node, void *target)
{
	struct slice *path = target;
	if (node->kind != NODE_SCALAR || node->text.len == 0)
		return load_error(load, node,
			"a file's path, stderr or stdout belongs here; for example path: "
			"/var/log/weir/error.log");
	bool on;
	const char *expected;
	if (value_bool(node->text, &on, &expected) == 0)
		return load_error(load, node,
			"\"%s\" is no file: write access: off for no access log, level: error for few "
			"lines in the error log, or ./%s for a file of that name",
			node->text.ptr, node->text.ptr);
	if (slice_equal(node->text, SLICE("stderr")) || slice_equal(node->text, SLICE("stdout")))
		*path = arena_slice(load_arena(load), node->text);
	else
		*path = load_path(load, node->text);
	return 0;
}

/* tchar of RFC 9110, 5.6.2 */
static bool is_token(struct slice text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool alphanumeric =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!alphanumeric && !memchr(others, c, sizeof(others) - 1))
			return false;
	}
	return text.len > 0;
}

/* Fields that say how a message is framed or routed, or that weir alone can know. */
static bool is_reserved(struct slice name)
{
	static const char *const reserved[] = {"Connection", "Content-Length", "Content-Range",
		"Date", "Host", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade"};
	for (size_t i = 0; i < COUNT_OF(reserved); i++) {
		if (slice_equal_nocase(name, slice_of(reserved[i])))
			return true;
	}
	return false;
}

static int check_name(struct load *load, const struct node *node)
{
	if (node->kind != NODE_SCALAR)
		return load_error(load, node, "a field's name belongs here");
	if (node->text.len > 0 && node->text.ptr[node->text.len - 1] == ':')
		return load_error(load, node, "\"%s\" is no field's name: leave out its colon",
			node->text.ptr);
	if (!is_token(node->text))
		return load_error(load, node,
			"\"%s\" is no field's name: letters, digits and hyphens make one, such as "
			"X-Frame-Options",
			node->text.ptr);
	if (is_reserved(node->text))
		return load_error(load, node,
			"%s is for weir to write: it says how answers are framed or dated",
			node->text.ptr);
	return 0;
}

static int check_value(struct load *load, const struct node *name, const struct node *node)
{
	if (node->kind != NODE_SCALAR)
		return load_error(load, node, "the value of %s must be one text", name->text.ptr);
	if (node_is_empty(node))
		return load_error(load, node,
			"the value of %s is missing: write \"\" for an empty one, or name the "
			"field under remove",
			name->text.ptr);
	for (size_t i = 0; i < node->text.len; i++) {
		unsigned char c = (unsigned char)node->text.ptr[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return load_error(load, node,
				"the value of %s has a %s in it: a field is one line",
				name->text.ptr,
				c == '\n' || c == '\r' ? "line break" : "control character");
	}
	return 0;
}

/* Takes a field out of both lists. */
static void rules_forget(struct header_rules *rules, struct slice name)
{
	size_t kept = 0;
	for (size_t i = 0; i < rules->set_count; i++) {
		if (!slice_equal_nocase(rules->set[i].name, name))
			rules->set[kept++] = rules->set[i];
	}
	rules->set_count = kept;
	kept = 0;
	for (size_t i = 0; i < rules->remove_count; i++) {
		if (!slice_equal_nocase(rules->remove[i], name))
			rules->remove[kept++] = rules->remove[i];
	}
	rules->remove_count = kept;
}

/* Copies of the lists, which the site's other scopes share, with room for more. */
static void rules_copy(struct load *load, struct header_rules *rules, size_t more)
{
	struct header_rules old = *rules;
	size_t set_size = sizeof(old.set[0]), remove_size = sizeof(old.remove[0]);
	rules->set = arena_alloc(load_arena(load), (old.set_count + more) * set_size);
	rules->remove = arena_alloc(load_arena(load), (old.remove_count + more) * remove_size);
	if (old.set_count > 0)
		memcpy(rules->set, old.set, old.set_count * set_size);
	if (old.remove_count > 0)
		memcpy(rules->remove, old.remove, old.remove_count * remove_size);
}

/* Is the name, in any case, a key of the mapping in front of `before`? */
static bool named_before(const struct node *mapping, size_t before, struct slice name)
{
	for (size_t i = 0; i < before; i++) {
		if (slice_equal_nocase(mapping->keys[i]->text, name))
			return true;
	}
	return false;
}

static int set_rules(struct load *load, const struct node *node, struct header_rules *rules)
{
	int result = 0;
	if (node_is_empty(node))
		return 0;
	if (node->kind != NODE_MAPPING)
		return load_error(load, node,
			"a mapping of fields belongs here; for example set: { X-Frame-Options: "
			"DENY }");
	if (node->count > RULES_MAX)
		return load_error(load, node, "more than %d fields", RULES_MAX);
	rules_copy(load, rules, node->count);
	for (size_t i = 0; i < node->count; i++) {
		const struct node *name = node->keys[i], *value = node->items[i];
		if (check_name(load, name) || check_value(load, name, value)) {
			result = -1;
			continue;
		}
		if (named_before(node, i, name->text))
			result = load_error(load, name,
				"%s is set twice: names of fields do not differ by case",
				name->text.ptr);
		rules_forget(rules, name->text);
		rules->set[rules->set_count].name = arena_slice(load_arena(load), name->text);
		rules->set[rules->set_count++].value =
			arena_slice(load_arena(load), slice_trim(value->text));
	}
	return result;
}

static int remove_rules(struct load *load, const struct node *node, const struct node *set,
	struct header_rules *rules)
{
	bool list = node->kind == NODE_LIST;
	size_t count = list ? node->count : 1;
	int result = 0;
	if (node_is_empty(node))
		return 0;
	if (count > RULES_MAX)
		return load_error(load, node, "more than %d fields", RULES_MAX);
	rules_copy(load, rules, count);
	for (size_t i = 0; i < count; i++) {
		const struct node *name = list ? node->items[i] : node;
		if (check_name(load, name)) {
			result = -1;
			continue;
		}
		if (set && set->kind == NODE_MAPPING && named_before(set, set->count, name->text)) {
			result = load_error(load, name, "%s is set and removed at once: keep one",
				name->text.ptr);
			continue;
		}
		rules_forget(rules, name->text);
		rules->remove[rules->remove_count++] = arena_slice(load_arena(load), name->text);
	}
	return result;
}

struct headers_written {
	const struct node *set, *remove;
};

int core_headers(struct load *load, const struct node *node, void *target)
{
	static const struct option rows[] = {
		{.name = "set",
			.type = OPTION_CUSTOM,
			.parse = core_keep_node,
			.offset = offsetof(struct headers_written, set)},
		{.name = "remove",
			.type = OPTION_CUSTOM,
			.parse = core_keep_node,
			.offset = offsetof(struct headers_written, remove)},
		{0},
	};
	struct headers_written written = {NULL, NULL};
	if (node_is_empty(node))
		return 0;
	if (node->kind != NODE_MAPPING)
		return load_error(load, node,
			"a mapping with set and remove belongs here; for example headers: { set: { "
			"X-Frame-Options: DENY }, remove: [X-Powered-By] }");
	int result = load_rows(load, node, rows, &written);
	if (written.set && set_rules(load, written.set, target))
		result = -1;
	if (written.remove && remove_rules(load, written.remove, written.set, target))
		result = -1;
	return result;
}

static int trusted_item(struct load *load, const struct node *node, struct trusted_proxies *trusted)
{
	const char *expected;
	if (node->kind == NODE_SCALAR && slice_equal(node->text, SLICE("unix"))) {
		trusted->local = true;
		return 0;
	}
	if (node->kind != NODE_SCALAR)
		return load_error(load, node, "an address, a network or unix belongs here");
	if (value_network(node->text, &trusted->networks[trusted->count], &expected))
		return load_error(load, node,
			"\"%s\" is none of the proxies' addresses: write %s, or unix",
			node->text.ptr, expected);
	trusted->count++;
	return 0;
}

int core_trusted(struct load *load, const struct node *node, void *target)
{
	struct trusted_proxies *trusted = target;
	bool list = node->kind == NODE_LIST;
	size_t count = list ? node->count : 1;
	int result = 0;
	if (node->kind == NODE_MAPPING || node_is_empty(node))
		return load_error(load, node,
			"a list of addresses and networks belongs here; for example "
			"trusted_proxies: [\"10.0.0.0/8\"]");
	if (count > RULES_MAX)
		return load_error(load, node, "more than %d networks", RULES_MAX);
	*trusted = (struct trusted_proxies){
		.networks = arena_zalloc(load_arena(load), (count + 1) * sizeof(struct network))};
	for (size_t i = 0; i < count; i++)
		if (trusted_item(load, list ? node->items[i] : node, trusted))
			result = -1;
	return result;
}

/* "404" or "5xx". */
static int read_statuses(struct slice text, struct error_page *page)
{
	if (text.len != 3 || (text.ptr[0] != '4' && text.ptr[0] != '5'))
		return -1;
	unsigned hundred = (unsigned)(text.ptr[0] - '0') * 100;
	if (slice_equal_nocase(slice_from(text, 1), SLICE("xx"))) {
		page->low = hundred;
		page->high = hundred + 99;
		return 0;
	}
	uint64_t number;
	if (slice_number(text, &number))
		return -1;
	page->low = page->high = (unsigned)number;
	return 0;
}

static int error_page(struct load *load, const struct node *key, const struct node *value,
	struct error_page *page)
{
	if (read_statuses(key->text, page))
		return load_error(load, key,
			"\"%s\" is no status of an error: write one from 400 to 599, or 4xx or 5xx, "
			"or intercept",
			key->text.ptr);
	if (value->kind != NODE_SCALAR || value->text.len == 0)
		return load_error(load, value,
			"the path of a page of this site belongs here; for example %s: /%s.html",
			key->text.ptr, key->text.ptr);
	const char *fault = value_page_fault(value->text);
	if (fault)
		return load_error(load, value, "\"%s\" is no path of a page: %s%s%s",
			value->text.ptr, fault, value->text.ptr[0] == '/' ? "" : "; write /",
			value->text.ptr[0] == '/' ? "" : value->text.ptr);
	page->path = arena_slice(load_arena(load), value->text);
	return 0;
}

/* Single statuses stand before classes, so that the first that fits is the one that counts; what is written here before
 * what is inherited, except that an inherited status still wins over a class. */
static void errors_merge(struct scope_core *core, struct error_page *all, size_t written,
	const struct error_page *old, size_t old_count)
{
	struct error_page *merged = all + written;
	size_t count = 0;
	for (int classes = 0; classes < 2; classes++) {
		for (size_t i = 0; i < written + old_count; i++) {
			const struct error_page *page = i < written ? &all[i] : &old[i - written];
			bool known = false;
			for (size_t k = 0; k < count; k++)
				known |= merged[k].low == page->low && merged[k].high == page->high;
			if (!known && (page->low != page->high) == classes)
				merged[count++] = *page;
		}
	}
	core->errors = merged;
	core->error_count = count;
}

static int read_intercept(struct load *load, const struct node *node, bool *on)
{
	const char *expected;
	if (node->kind != NODE_SCALAR || value_bool(node->text, on, &expected))
		return load_error(load, node, "on or off belongs here: intercept: on");
	return 0;
}

int core_errors(struct load *load, const struct node *node, void *target)
{
	struct scope_core *core = container_of(target, struct scope_core, errors);
	int result = 0;
	if (node_is_empty(node))
		return 0;
	if (node->kind != NODE_MAPPING)
		return load_error(load, node,
			"a mapping of statuses to pages belongs here; for example errors: { 404: "
			"/404.html, 5xx: /50x.html }");
	if (node->count > RULES_MAX)
		return load_error(load, node, "more than %d statuses", RULES_MAX);
	size_t count = 0, room = 2 * node->count + core->error_count;
	struct error_page *all = arena_zalloc(load_arena(load), (room + 1) * sizeof(all[0]));
	for (size_t i = 0; i < node->count; i++) {
		const struct node *key = node->keys[i], *value = node->items[i];
		if (slice_equal(key->text, SLICE("intercept"))) {
			if (read_intercept(load, value, &core->intercept))
				result = -1;
		} else if (error_page(load, key, value, &all[count])) {
			result = -1;
		} else {
			count++;
		}
	}
	errors_merge(core, all, count, core->errors, core->error_count);
	return result;
}
