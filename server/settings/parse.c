/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes nodes of a YAML text: the one file that knows libfyaml. It reads events, not a document of libfyaml's, so that all
 * duplicate keys are told and not only the first, and nothing that an alias could multiply is ever built. */
#include <libfyaml.h>
#include <stdlib.h>

#include "base/check.h"
#include "settings/load.h"

/* A list or mapping that is not closed yet. */
struct level {
	struct node *node;
	const struct node *key; /* of the value that comes next; NULL: a key comes next */
	struct buffer items;    /* of const struct node * */
	struct buffer keys;
};

struct parse {
	struct load *load;
	const struct config_file *file;
	struct level levels[LOAD_DEPTH_MAX];
	size_t depth;
	const struct node *root;
	unsigned documents;
	unsigned alias_line; /* where a star was taken for an alias last */
	bool failed;         /* no use to go on reading */
};

static struct node *node_new(struct parse *p, enum node_kind kind, const struct fy_mark *start,
	const struct fy_mark *end)
{
	struct node *node = arena_zalloc(&p->load->scratch, sizeof(*node));
	node->kind = kind;
	node->file = p->file;
	if (start) {
		node->line = (unsigned)start->line + 1;
		node->column = (unsigned)start->column + 1;
		node->start = start->input_pos;
		node->end = end ? end->input_pos : node->start + 1;
	}
	if (++p->load->node_count > LOAD_NODES_MAX && !p->failed) {
		load_error(
			p->load, node, "the configuration has more than %d values", LOAD_NODES_MAX);
		p->failed = true;
	}
	return node;
}

static void attach_key(struct parse *p, struct level *level, const struct node *node)
{
	if (node->kind != NODE_SCALAR) {
		load_error(p->load, node, "a key must be one word, not a list or a mapping");
		p->failed = true;
	} else if (node->text.len == 0) {
		load_error(p->load, node, "a key must not be empty");
	}
	level->key = node;
}

/* Puts a whole value where it belongs. */
static void attach(struct parse *p, const struct node *node)
{
	if (p->depth == 0) {
		p->root = node;
		return;
	}
	struct level *level = &p->levels[p->depth - 1];
	if (level->node->kind == NODE_MAPPING) {
		if (!level->key) {
			attach_key(p, level, node);
			return;
		}
		buffer_append(&level->keys, &level->key, sizeof(level->key));
		level->key = NULL;
	}
	buffer_append(&level->items, &node, sizeof(node));
}

static void open_level(struct parse *p, struct node *node)
{
	if (p->depth == LOAD_DEPTH_MAX) {
		load_error(p->load, node, "lists and mappings are nested more than %d deep",
			LOAD_DEPTH_MAX);
		p->failed = true;
		return;
	}
	p->levels[p->depth++] = (struct level){.node = node};
}

struct placed_key {
	const struct node *key;
	size_t index;
};

static int key_order(const void *left, const void *right)
{
	const struct placed_key *a = left, *b = right;
	size_t shorter = a->key->text.len < b->key->text.len ? a->key->text.len : b->key->text.len;
	int order = shorter > 0 ? memcmp(a->key->text.ptr, b->key->text.ptr, shorter) : 0;
	if (order != 0)
		return order;
	if (a->key->text.len != b->key->text.len)
		return a->key->text.len < b->key->text.len ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static void find_duplicates(struct parse *p, const struct node *mapping)
{
	if (mapping->count < 2)
		return;
	struct placed_key *sorted = must_alloc(mapping->count * sizeof(sorted[0]));
	for (size_t i = 0; i < mapping->count; i++)
		sorted[i] = (struct placed_key){mapping->keys[i], i};
	qsort(sorted, mapping->count, sizeof(sorted[0]), key_order);
	size_t first = 0;
	for (size_t i = 1; i < mapping->count; i++) {
		const struct node *key = sorted[i].key;
		if (!slice_equal(sorted[first].key->text, key->text))
			first = i;
		else
			load_error(p->load, key,
				"\"%s\" stands here twice: it is in line %u already; keep one of them",
				key->text.ptr, sorted[first].key->line);
	}
	free(sorted);
}

/* The pointers gathered in a buffer, as an array that lasts. */
static const struct node **settle(struct parse *p, struct buffer *gathered)
{
	const struct node **array = arena_alloc(&p->load->scratch, gathered->len);
	if (gathered->len > 0)
		memcpy(array, gathered->ptr, gathered->len);
	buffer_free(gathered);
	return array;
}

static void close_level(struct parse *p)
{
	check(p->depth > 0);
	struct level *level = &p->levels[--p->depth];
	struct node *node = level->node;
	node->count = level->items.len / sizeof(struct node *);
	node->items = settle(p, &level->items);
	node->keys = settle(p, &level->keys);
	if (node->kind == NODE_MAPPING)
		find_duplicates(p, node);
	attach(p, node);
}

static bool is_null_word(struct slice text)
{
	return slice_equal(text, SLICE("~")) || slice_equal(text, SLICE("null")) ||
	       slice_equal(text, SLICE("Null")) || slice_equal(text, SLICE("NULL"));
}

static void take_scalar(struct parse *p, struct fy_event *event)
{
	struct fy_token *token = event->scalar.value;
	size_t length = 0;
	const char *text = token ? fy_token_get_text(token, &length) : NULL;
	struct node *node =
		node_new(p, NODE_SCALAR, fy_event_start_mark(event), fy_event_end_mark(event));
	node->plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;
	node->text = (struct slice){text, text ? length : 0};
	if (node->plain && is_null_word(node->text))
		node->text = SLICE("");
	node->text = arena_slice(&p->load->scratch, node->text);
	if (node->line == 0 && p->depth > 0) {
		/* nothing stands there: the key in front of it is what can be shown */
		struct level *level = &p->levels[p->depth - 1];
		const struct node *shown = level->key ? level->key : level->node;
		node->line = shown->line;
		node->column = shown->column;
		node->start = shown->start;
		node->end = shown->end;
	}
	if (memchr(node->text.ptr, 0, node->text.len)) {
		load_error(p->load, node, "a value must not hold a NUL");
		node->text.len = strlen(node->text.ptr);
	}
	attach(p, node);
}

/* "*.php" without quotes is an alias to YAML. It is told, and read as what was most likely meant. */
static void take_alias(struct parse *p, struct fy_event *event)
{
	size_t length = 0;
	const char *text = fy_token_get_text(event->alias.anchor, &length);
	struct node *node =
		node_new(p, NODE_SCALAR, fy_event_start_mark(event), fy_event_end_mark(event));
	while (length > 0 && text[length - 1] == ':')
		length--;
	node->text = arena_format(&p->load->scratch, "*%.*s", (int)length, text ? text : "");
	if (node->start > 0 && p->file->text.ptr[node->start - 1] == '*') {
		node->start--;
		node->column--;
	}
	if (text && (memchr(text, '.', length) || memchr(text, '/', length)))
		load_error(p->load, node,
			"YAML takes a word that begins with * for an alias: write it in quotes, "
			"\"%s\"",
			node->text.ptr);
	else
		load_error(p->load, node,
			"anchors and aliases are not supported: write the value out, or in quotes "
			"if the * belongs to it");
	p->alias_line = node->line;
	attach(p, node);
}

static void refuse_decoration(struct parse *p, const struct node *at, const struct fy_token *anchor,
	const struct fy_token *tag)
{
	if (anchor)
		load_error(p->load, at,
			"anchors and aliases are not supported: write the value "
			"out where it is wanted");
	if (tag)
		load_error(p->load, at, "tags are not supported: leave out what begins with !");
}

static void take_event(struct parse *p, struct fy_event *event)
{
	const struct fy_mark *start = fy_event_start_mark(event);
	struct node *node;
	switch (event->type) {
	case FYET_DOCUMENT_START:
		if (++p->documents > 1) {
			node = node_new(p, NODE_SCALAR, start, NULL);
			fault_at(p->load, p->file, node->start, node->end,
				node->line ? node->line : 1, node->column ? node->column : 1,
				"a second document begins behind ---: one file holds one");
			p->failed = true;
		}
		break;
	case FYET_MAPPING_START:
		node = node_new(p, NODE_MAPPING, start, NULL);
		refuse_decoration(p, node, event->mapping_start.anchor, event->mapping_start.tag);
		open_level(p, node);
		break;
	case FYET_SEQUENCE_START:
		node = node_new(p, NODE_LIST, start, NULL);
		refuse_decoration(p, node, event->sequence_start.anchor, event->sequence_start.tag);
		open_level(p, node);
		break;
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		close_level(p);
		break;
	case FYET_SCALAR:
		if (event->scalar.anchor || event->scalar.tag) {
			node = node_new(p, NODE_SCALAR, start, fy_event_end_mark(event));
			refuse_decoration(p, node, event->scalar.anchor, event->scalar.tag);
		}
		take_scalar(p, event);
		break;
	case FYET_ALIAS:
		take_alias(p, event);
		break;
	default:
		break;
	}
}

/* What to do about a fault that libfyaml found, by a part of its words. */
static const char *syntax_advice(const char *message)
{
	static const char *const advice[][2] = {
		{"tab character", "indent with spaces"},
		{"cannot start with", "write the value in quotes"},
		{"invalid nested block mapping",
			"write the value in quotes, or the mapping in lines of its own"},
		{"block sequence on the same line", "write the list in brackets, [a, b], or each "
						    "item on a line of its own"},
		{"multiline plain key",
			"look for wrong indentation in this line and the next, or a missing quote"},
		{"at the end of block", "the keys of one mapping begin in one column"},
		{"expected '-'", "the keys of one mapping begin in one column"},
		{"value after mapping", "a key wants a colon and a space behind it"},
		{"expected ':'", "a key wants a colon and a space behind it"},
		{"missing comma", "a comma or a closing bracket is missing"},
		{"without a closing", "close what was opened"},
		{"without closing quote", "close the quotes"},
		{"invalid escape", "in single quotes a backslash is only a backslash"},
		{"trailing content", "put all of the value in the quotes"},
		{"indentation", "line it up with its neighbours"},
	};
	for (size_t i = 0; i < COUNT_OF(advice); i++) {
		if (strstr(message, advice[i][0]))
			return advice[i][1];
	}
	return "see whether the lines before it are indented, quoted and closed as they should be";
}

/* The octet at a line and column, both from 1. What lies beyond the end becomes the end of the last line with text. */
static size_t place_of(struct slice text, unsigned *line, unsigned *column)
{
	size_t i = 0, last = text.len;
	while (last > 0 && (text.ptr[last - 1] == '\n' || text.ptr[last - 1] == ' '))
		last--;
	unsigned l = 1, c = 1;
	for (; i < last && (l < *line || (l == *line && c < *column)); i++) {
		if (l == *line && text.ptr[i] == '\n')
			break;
		if (text.ptr[i] == '\n') {
			l++;
			c = 1;
		} else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80) {
			c++;
		}
	}
	while (i < text.len && ((unsigned char)text.ptr[i] & 0xc0) == 0x80)
		i++;
	*line = l;
	*column = c;
	return i;
}

static void syntax_fault(struct parse *p, struct fy_diag *diag)
{
	void *position = NULL;
	struct fy_diag_error *error = fy_diag_errors_iterate(diag, &position);
	const char *message = error && error->msg ? error->msg : "this is no YAML";
	unsigned line = error && error->line > 0 ? (unsigned)error->line : 1;
	unsigned column = error && error->column > 0 ? (unsigned)error->column : 1;
	p->failed = true;
	if (p->alias_line == line)
		return; /* a consequence of what was told */
	size_t start = place_of(p->file->text, &line, &column);
	const struct node *open = p->depth > 0 ? p->levels[p->depth - 1].node : NULL;
	char bracket = open && open->start < p->file->text.len ? p->file->text.ptr[open->start] : 0;
	if (bracket == '[' || bracket == '{')
		fault_at(p->load, p->file, start, start + 1, line, column,
			"%s: %s (the %c of line %u, column %u is still open)", message,
			syntax_advice(message), bracket, open->line, open->column);
	else
		fault_at(p->load, p->file, start, start + 1, line, column, "%s: %s", message,
			syntax_advice(message));
}

size_t parse_utf8_length(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (length == 1)
		return (s[0] >= ' ' && s[0] != 0x7f) || s[0] == '\t' || s[0] == '\n' ||
		       s[0] == '\r';
	if (length == 0 || s[0] > 0xf4 || length > left)
		return 0;
	uint32_t code = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	bool good = code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
	return good ? length : 0;
}

static int check_text(struct load *load, const struct config_file *file)
{
	unsigned line = 1, column = 1;
	size_t length;
	for (size_t i = 0; i < file->text.len; i += length) {
		const char *at = file->text.ptr + i;
		length = parse_utf8_length(at, file->text.len - i);
		if (length == 0) {
			fault_at(load, file, i, i + 1, line, column,
				"the octet 0x%02x is %s: a configuration is UTF-8 text",
				(unsigned char)*at,
				(unsigned char)*at < ' ' || *at == 0x7f ? "a control character"
									: "no UTF-8");
			return -1;
		}
		column++;
		if (*at == '\n') {
			line++;
			column = 1;
		}
	}
	return 0;
}

const struct node *parse_file(struct load *load, const struct config_file *file, bool *failed)
{
	struct parse p = {.load = load, .file = file};
	struct fy_diag_cfg diag_settings;
	*failed = true;
	if (check_text(load, file))
		return NULL;
	fy_diag_cfg_default(&diag_settings);
	diag_settings.fp = NULL;
	diag_settings.level = FYET_ERROR;
	struct fy_diag *diag = fy_diag_create(&diag_settings);
	check(diag);
	fy_diag_set_collect_errors(diag, true);
	struct fy_parse_cfg settings = {
		.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
			 FYPCF_DEFAULT_VERSION_1_2,
		.diag = diag,
	};
	struct fy_parser *parser = fy_parser_create(&settings);
	check(parser && fy_parser_set_string(parser, file->text.ptr, file->text.len) == 0);
	struct fy_event *event;
	while (!p.failed && (event = fy_parser_parse(parser))) {
		take_event(&p, event);
		fy_parser_event_free(parser, event);
	}
	if (!p.failed && fy_parser_get_stream_error(parser))
		syntax_fault(&p, diag);
	fy_parser_destroy(parser);
	fy_diag_destroy(diag);
	while (p.depth > 0) {
		buffer_free(&p.levels[p.depth - 1].items);
		buffer_free(&p.levels[--p.depth].keys);
	}
	*failed = p.failed;
	return p.failed ? NULL : p.root;
}

const struct node *parse_preset(struct load *load, const char *text)
{
	struct config_file *file = arena_zalloc(&load->scratch, sizeof(*file));
	file->name = SLICE("(default)");
	file->path = file->name;
	file->folder = SLICE("/");
	file->text = slice_of(text);
	if (text[0] == '[' || text[0] == '{') {
		bool failed;
		const struct node *node = parse_file(load, file, &failed);
		check(node && !failed);
		return node;
	}
	struct node *node = arena_zalloc(&load->scratch, sizeof(*node));
	node->kind = NODE_SCALAR;
	node->plain = true;
	node->line = node->column = 1;
	node->end = file->text.len;
	node->file = file;
	node->text = file->text;
	return node;
}
