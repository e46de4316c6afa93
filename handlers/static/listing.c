/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a folder that has no index. Made on an I/O thread, kept in the file cache like a small file. */
#include "handlers/static/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "handlers/file/digest.h"

#define ENTRIES_MAX 200000 /* more are not shown, and the page says so */
#define PAGE_DIGITS 5

enum sort { SORT_NAME, SORT_SIZE, SORT_TIME };
static const char *const sort_words[] = {"name", "size", "time"};

struct view {
	unsigned page; /* from 1 */
	enum sort sort;
	bool descending;
};

struct item {
	char *name;
	uint64_t size;
	time_t modified;
	bool folder;
};

struct items {
	struct item *list;
	size_t count;
	bool more; /* than are kept */
};

/* --- Queries. --- */

static void read_parameter(struct view *view, struct slice name, struct slice value)
{
	uint64_t number;
	if (slice_equal(name, SLICE("page"))) {
		if (value.len <= PAGE_DIGITS && slice_number(value, &number) == 0 && number > 0)
			view->page = (unsigned)number;
	} else if (slice_equal(name, SLICE("order"))) {
		view->descending = slice_equal(value, SLICE("desc"));
	} else if (slice_equal(name, SLICE("sort"))) {
		for (unsigned i = 0; i < COUNT_OF(sort_words); i++)
			if (slice_equal(value, slice_of(sort_words[i])))
				view->sort = i;
	}
}

static struct view read_query(struct slice query)
{
	struct view view = {.page = 1};
	while (query.len) {
		const char *end = memchr(query.ptr, '&', query.len);
		struct slice part = {query.ptr, end ? (size_t)(end - query.ptr) : query.len};
		const char *equals = part.len ? memchr(part.ptr, '=', part.len) : NULL;
		query = slice_from(query, part.len + 1);
		if (equals)
			read_parameter(&view, (struct slice){part.ptr, (size_t)(equals - part.ptr)},
				slice_from(part, (size_t)(equals - part.ptr) + 1));
	}
	return view;
}

/* The same view by its shortest query, with its "?"; "" for the default. */
static void write_query(struct buffer *to, struct view view, const char *between)
{
	const char *separator = "?";
	if (view.page > 1) {
		buffer_format(to, "%spage=%u", separator, view.page);
		separator = between;
	}
	if (view.sort != SORT_NAME) {
		buffer_format(to, "%ssort=%s", separator, sort_words[view.sort]);
		separator = between;
	}
	if (view.descending)
		buffer_format(to, "%sorder=desc", separator);
}

struct slice listing_query(struct request *request)
{
	struct buffer text = {NULL, 0, 0};
	write_query(&text, read_query(request->target.query), "&");
	struct slice query = {NULL, 0};
	if (text.len)
		query = arena_slice(&request->arena, (struct slice){text.ptr + 1, text.len - 1});
	buffer_free(&text);
	return query;
}

/* --- What is in the folder. --- */

/* What a link leads to, as far as the root lets it: of what is not served not even the size is told. */
static bool follow(const struct file_directory *directory, const char *name, struct stat *s)
{
	char path[PATH_MAX], full[PATH_MAX], real[PATH_MAX];
	int length = snprintf(path, sizeof path, "%s%s", directory->path, name);
	int whole = snprintf(full, sizeof full, "%s/%s", directory->root->path.ptr, path);
	if (length < 0 || (size_t)length >= sizeof path || whole < 0 ||
		(size_t)whole >= sizeof full || !realpath(full, real))
		return false;
	int fd = file_open(directory->root_fd, directory->root, path, real);
	if (fd < 0)
		return false;
	int result = fstat(fd, s);
	close(fd);
	return result == 0;
}

/* Would a request for it be answered? Links are followed as the root allows; devices and the like are not shown. */
static bool read_item(const struct file_directory *directory, const char *name, struct item *item)
{
	const struct file_root *root = directory->root;
	struct stat s;
	if (name[0] == '.' && !root->hidden_files && strcmp(name, ".well-known") != 0)
		return false;
	if (fstatat(directory->fd, name, &s, AT_SYMLINK_NOFOLLOW))
		return false;
	if (S_ISLNK(s.st_mode) && !follow(directory, name, &s))
		return false;
	if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
		return false;
	*item = (struct item){
		must_strdup(name), (uint64_t)s.st_size, s.st_mtim.tv_sec, S_ISDIR(s.st_mode)};
	return true;
}

static void read_items(DIR *folder, const struct file_directory *directory, struct items *items)
{
	struct buffer all = {NULL, 0, 0};
	struct dirent *entry;
	while ((entry = readdir(folder)) != NULL) {
		struct item item;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			!read_item(directory, entry->d_name, &item))
			continue;
		if (all.len / sizeof item == ENTRIES_MAX) {
			free(item.name);
			items->more = true;
			break;
		}
		buffer_append(&all, &item, sizeof item);
	}
	items->list = (struct item *)(void *)all.ptr;
	items->count = all.len / sizeof(struct item);
}

static void free_items(struct items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->list[i].name);
	free(items->list);
}

/* Folders come first whatever the order; equal ones are told apart by their names. */
static int compare(const void *a, const void *b, void *context)
{
	const struct item *x = a, *y = b;
	const struct view *view = context;
	int order = 0;
	if (x->folder != y->folder)
		return x->folder ? -1 : 1;
	if (view->sort == SORT_SIZE && !x->folder)
		order = (x->size > y->size) - (x->size < y->size);
	else if (view->sort == SORT_TIME)
		order = (x->modified > y->modified) - (x->modified < y->modified);
	if (order == 0)
		order = strcmp(x->name, y->name);
	return view->descending ? -order : order;
}

/* --- The page. --- */

static const char style[] =
	":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
	"padding:0 1rem}h1{font-size:1.3rem;font-weight:500;overflow-wrap:anywhere}table{width:100%;"
	"border-collapse:collapse}th{text-align:left;font-weight:500;border-bottom:1px solid #8888}"
	"td,th{padding:.2rem .8rem .2rem 0;vertical-align:top}td:first-child{overflow-wrap:anywhere}"
	"td:not(:first-child){white-space:nowrap;font-variant-numeric:tabular-nums}"
	".n{text-align:right}nav{margin:1rem 0}a{text-decoration:none}a:hover{text-decoration:underline}";

/* How many octets of UTF-8 stand there (RFC 3629); 0: none that are. */
static size_t utf8_length(const char *text, size_t length)
{
	struct digest d;
	size_t wanted = length < 4 ? length : 4;
	for (size_t n = 1; n <= wanted; n++) {
		digest_begin(&d);
		digest_update(&d, text, n);
		digest_end(&d);
		if (digest_is_utf8(&d))
			return n;
	}
	return 0;
}

/* Text of a name that anybody may have chosen; what is no UTF-8 is marked, for the page is. */
static void write_text(struct buffer *to, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if ((unsigned char)c >= 0x80) {
			size_t octets = utf8_length(text + i, length - i);
			if (octets)
				buffer_append(to, text + i, octets);
			else
				buffer_slice(to, SLICE("\xef\xbf\xbd"));
			i += octets ? octets - 1 : 0;
			continue;
		}
		switch (c) {
		case '&':
			buffer_slice(to, SLICE("&amp;"));
			break;
		case '<':
			buffer_slice(to, SLICE("&lt;"));
			break;
		case '>':
			buffer_slice(to, SLICE("&gt;"));
			break;
		case '"':
			buffer_slice(to, SLICE("&quot;"));
			break;
		case '\'':
			buffer_slice(to, SLICE("&#39;"));
			break;
		default:
			buffer_append(to, (unsigned char)c < ' ' || c == 0x7f ? "?" : &c, 1);
		}
	}
}

/* RFC 3986: a relative reference that is a path whatever the name ("./" in front), percent-encoded but for what is unreserved. */
static void write_reference(struct buffer *to, const struct item *item)
{
	buffer_slice(to, SLICE("./"));
	for (const char *p = item->name; *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("-._~", c);
		if (plain)
			buffer_append(to, p, 1);
		else
			buffer_format(to, "%%%02X", c);
	}
	if (item->folder)
		buffer_slice(to, SLICE("/"));
}

static void write_size(struct buffer *to, uint64_t size)
{
	static const char units[] = "kMGTPE";
	if (size < 1000) {
		buffer_format(to, "%u B", (unsigned)size);
		return;
	}
	unsigned unit = 0;
	double value = (double)size / 1000;
	for (; value >= 999.5; unit++)
		value /= 1000;
	buffer_format(to, value < 9.95 ? "%.1f %cB" : "%.0f %cB", value, units[unit]);
}

static void write_item(struct buffer *to, const struct item *item)
{
	struct tm when;
	buffer_slice(to, SLICE("<tr><td><a href=\""));
	write_reference(to, item);
	buffer_slice(to, SLICE("\">"));
	write_text(to, item->name, strlen(item->name));
	buffer_slice(to, item->folder ? SLICE("/</a></td><td class=\"n\">")
				      : SLICE("</a></td><td class=\"n\">"));
	if (!item->folder) {
		buffer_format(to, "<data value=\"%llu\">", (unsigned long long)item->size);
		write_size(to, item->size);
		buffer_slice(to, SLICE("</data>"));
	}
	buffer_slice(to, SLICE("</td><td>"));
	if (gmtime_r(&item->modified, &when)) {
		char utc[32], shown[32];
		strftime(utc, sizeof utc, "%Y-%m-%dT%H:%M:%SZ", &when);
		strftime(shown, sizeof shown, "%Y-%m-%d %H:%M", &when);
		buffer_format(to, "<time datetime=\"%s\">%s</time>", utc, shown);
	}
	buffer_slice(to, SLICE("</td></tr>\n"));
}

/* The head of a column is a link that sorts by it, or turns the order round. */
static void write_column(
	struct buffer *to, const struct view *view, enum sort sort, const char *title)
{
	struct view other = {1, sort, view->sort == sort && !view->descending};
	bool sorted = view->sort == sort;
	buffer_format(to, "<th%s%s><a href=\"./", sort == SORT_SIZE ? " class=\"n\"" : "",
		!sorted            ? ""
		: view->descending ? " aria-sort=\"descending\""
				   : " aria-sort=\"ascending\"");
	write_query(to, other, "&amp;");
	buffer_format(to, "\">%s</a>%s</th>", title,
		!sorted            ? ""
		: view->descending ? " &darr;"
				   : " &uarr;");
}

static void write_page_link(
	struct buffer *to, struct view view, unsigned page, const char *rel, const char *text)
{
	view.page = page;
	buffer_format(to, "<a rel=\"%s\" href=\"./", rel);
	write_query(to, view, "&amp;");
	buffer_format(to, "\">%s</a> ", text);
}

static void write_pages(
	struct buffer *to, const struct view *view, const struct items *items, unsigned pages)
{
	if (pages > 1) {
		buffer_slice(to, SLICE("<nav>"));
		if (view->page > 1) {
			write_page_link(to, *view, 1, "first", "first");
			write_page_link(to, *view, view->page - 1, "prev", "previous");
		}
		buffer_format(to, "page %u of %u ", view->page, pages);
		if (view->page < pages) {
			write_page_link(to, *view, view->page + 1, "next", "next");
			write_page_link(to, *view, pages, "last", "last");
		}
		buffer_slice(to, SLICE("</nav>\n"));
	}
	buffer_format(to, "<p>%zu %s%s</p>\n", items->count,
		items->count == 1 ? "entry" : "entries", items->more ? "; there are more" : "");
}

static size_t page_count(const struct items *items)
{
	return items->count ? (items->count + LISTING_PAGE - 1) / LISTING_PAGE : 1;
}

static void write_all(
	struct buffer *to, struct slice path, struct view view, const struct items *items)
{
	size_t pages = page_count(items);
	size_t from = (size_t)(view.page - 1) * LISTING_PAGE;
	size_t end = from + LISTING_PAGE < items->count ? from + LISTING_PAGE : items->count;
	buffer_slice(to, SLICE("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
			       "<meta name=\"viewport\" content=\"width=device-width\"><title>/"));
	write_text(to, path.ptr, path.len);
	buffer_format(to, "</title>\n<style>%s</style>\n<h1>/", style);
	write_text(to, path.ptr, path.len);
	buffer_slice(to, SLICE("</h1>\n<table>\n<thead><tr>"));
	write_column(to, &view, SORT_NAME, "Name");
	write_column(to, &view, SORT_SIZE, "Size");
	write_column(to, &view, SORT_TIME, "Changed (UTC)");
	buffer_slice(to, SLICE("</tr></thead>\n<tbody>\n"));
	if (path.len)
		buffer_slice(
			to, SLICE("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n"));
	for (size_t i = from; i < end; i++)
		write_item(to, &items->list[i]);
	buffer_slice(to, SLICE("</tbody>\n</table>\n"));
	write_pages(to, &view, items, (unsigned)pages);
	buffer_slice(to, SLICE("</html>\n"));
}

int listing_page(const struct file_directory *directory, struct slice query, struct buffer *page)
{
	struct items items = {NULL, 0, false};
	struct view view = read_query(query);
	/* a descriptor of its own, at the folder's beginning */
	int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		errno = error;
		return -1;
	}
	read_items(folder, directory, &items);
	closedir(folder);
	bool there = view.page <= page_count(&items);
	if (there && items.count)
		qsort_r(items.list, items.count, sizeof *items.list, compare, &view);
	if (there)
		write_all(page, slice_of(directory->path), view, &items);
	free_items(&items);
	errno = ENOENT;
	return there ? 0 : -1;
}
