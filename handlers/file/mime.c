/* SPDX-License-Identifier: BSD-2-Clause */
/* Media types by a name's extension: the web's own table above the system's mime.types. */
#include "handlers/file/mime.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"

#define SYSTEM_FILE     "/etc/mime.types"
#define SYSTEM_FILE_MAX (1u << 20)
#define EXTENSION_MAX   15 /* octets of an extension; longer ones are in no table */

/* An extension in lower case, as two numbers that stand in the order of its octets; the rest is 0. */
struct key {
	uint64_t high, low;
};

struct mime_row {
	struct key extension;
	struct slice type;
	unsigned rank; /* of two rows with one extension the lower one counts */
};

struct mime {
	struct mime_row *rows; /* sorted by extension */
	size_t count;
};

/* What browsers load and people download, as registered with IANA or, where nothing is, as browsers know it. */
static const struct {
	const char *type;
	const char *extensions;
} built_in[] = {
	{"text/html", "html htm"},
	{"text/css", "css"},
	{"text/javascript", "js mjs cjs"},
	{"application/json", "json map topojson"},
	{"application/geo+json", "geojson"},
	{"application/ld+json", "jsonld"},
	{"application/manifest+json", "webmanifest"},
	{"application/wasm", "wasm"},
	{"application/xml", "xml xsd xsl rng"},
	{"application/xslt+xml", "xslt"},
	{"application/xhtml+xml", "xhtml xht"},
	{"application/rss+xml", "rss"},
	{"application/atom+xml", "atom"},
	{"application/yaml", "yaml yml"},
	{"application/toml", "toml"},
	{"text/plain",
		"txt text log conf cfg ini asc diff patch sh py rb pl go rs c h cc cpp hpp java sql "
		"tsx jsx"},
	{"text/markdown", "md markdown"},
	{"text/csv", "csv"},
	{"text/tab-separated-values", "tsv"},
	{"text/calendar", "ics ifb"},
	{"text/vcard", "vcf vcard"},
	{"text/vtt", "vtt"},
	{"application/x-subrip", "srt"},
	{"image/svg+xml", "svg"},
	{"image/png", "png"},
	{"image/apng", "apng"},
	{"image/jpeg", "jpg jpeg jpe jfif"},
	{"image/gif", "gif"},
	{"image/webp", "webp"},
	{"image/avif", "avif"},
	{"image/jxl", "jxl"},
	{"image/heic", "heic"},
	{"image/heif", "heif"},
	{"image/bmp", "bmp"},
	{"image/tiff", "tif tiff"},
	{"image/vnd.microsoft.icon", "ico cur"},
	{"font/woff2", "woff2"},
	{"font/woff", "woff"},
	{"font/ttf", "ttf"},
	{"font/otf", "otf"},
	{"font/collection", "ttc"},
	{"application/vnd.ms-fontobject", "eot"},
	{"video/mp4", "mp4 m4v"},
	{"video/webm", "webm"},
	{"video/ogg", "ogv"},
	{"video/quicktime", "mov qt"},
	{"video/mpeg", "mpeg mpg"},
	{"video/mp2t", "ts m2ts mts"},
	{"video/matroska", "mkv"},
	{"video/x-msvideo", "avi"},
	{"video/3gpp", "3gp"},
	{"audio/mpeg", "mp3"},
	{"audio/mp4", "m4a"},
	{"audio/aac", "aac"},
	{"audio/ogg", "ogg oga opus"},
	{"audio/flac", "flac"},
	{"audio/wav", "wav"},
	{"audio/webm", "weba"},
	{"audio/matroska", "mka"},
	{"audio/midi", "mid midi"},
	{"application/vnd.apple.mpegurl", "m3u8"},
	{"audio/x-mpegurl", "m3u"},
	{"application/dash+xml", "mpd"},
	{"model/gltf+json", "gltf"},
	{"model/gltf-binary", "glb"},
	{"model/stl", "stl"},
	{"model/obj", "obj"},
	{"application/pdf", "pdf"},
	{"application/epub+zip", "epub"},
	{"application/rtf", "rtf"},
	{"application/postscript", "ps eps ai"},
	{"application/msword", "doc"},
	{"application/vnd.ms-excel", "xls"},
	{"application/vnd.ms-powerpoint", "ppt"},
	{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
	{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
	{"application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
	{"application/vnd.oasis.opendocument.text", "odt"},
	{"application/vnd.oasis.opendocument.spreadsheet", "ods"},
	{"application/vnd.oasis.opendocument.presentation", "odp"},
	{"application/zip", "zip"},
	{"application/gzip", "gz tgz"},
	{"application/zstd", "zst"},
	{"application/x-brotli", "br"},
	{"application/x-bzip2", "bz2"},
	{"application/x-xz", "xz"},
	{"application/x-tar", "tar"},
	{"application/x-7z-compressed", "7z"},
	{"application/vnd.rar", "rar"},
	{"application/java-archive", "jar war"},
	{"application/vnd.android.package-archive", "apk"},
	{"application/vnd.debian.binary-package", "deb"},
	{"application/x-rpm", "rpm"},
	{"application/x-iso9660-image", "iso"},
	{"application/x-apple-diskimage", "dmg"},
	{"application/x-msdownload", "exe dll"},
	{"application/octet-stream", "bin img dat"},
	{"application/x-bittorrent", "torrent"},
	{"application/pgp-signature", "sig"},
	{"application/vnd.sqlite3", "sqlite sqlite3 db"},
	{"application/gpx+xml", "gpx"},
	{"application/vnd.google-earth.kml+xml", "kml"},
	{"application/vnd.google-earth.kmz", "kmz"},
	{"application/x-x509-ca-cert", "crt der"},
	{"application/x-pem-file", "pem"},
};

/* Takes the next word off a line. */
static bool word_next(struct slice *line, struct slice *word)
{
	size_t i = 0;
	while (i < line->len && (line->ptr[i] == ' ' || line->ptr[i] == '\t'))
		i++;
	size_t begin = i;
	while (i < line->len && line->ptr[i] != ' ' && line->ptr[i] != '\t')
		i++;
	*word = (struct slice){line->ptr + begin, i - begin};
	*line = slice_from(*line, i);
	return word->len > 0;
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static struct slice lower_case(struct arena *arena, struct slice s)
{
	char *copy = arena_alloc(arena, s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		copy[i] = lower(s.ptr[i]);
	copy[s.len] = '\0';
	return (struct slice){copy, s.len};
}

/* Of up to EXTENSION_MAX octets. */
static struct key key_of(struct slice extension)
{
	char octets[sizeof(struct key)] = {0};
	struct key key;
	for (size_t i = 0; i < extension.len; i++)
		octets[i] = lower(extension.ptr[i]);
	memcpy(&key, octets, sizeof(key));
	return (struct key){be64toh(key.high), be64toh(key.low)};
}

static int compare_keys(struct key a, struct key b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return (a.low > b.low) - (a.low < b.low);
}

struct growing {
	struct arena *arena;
	struct buffer rows;
	unsigned rank;
};

static void add_words(struct growing *to, struct slice type, struct slice extensions)
{
	struct slice word;
	while (word_next(&extensions, &word)) {
		if (word.len > EXTENSION_MAX)
			continue;
		struct mime_row row = {key_of(word), type, to->rank++};
		buffer_append(&to->rows, &row, sizeof row);
	}
}

/* A type goes into a header field: what could break one is left out. */
static bool type_is_sound(struct slice type)
{
	bool stroke = false;
	for (size_t i = 0; i < type.len; i++) {
		char c = type.ptr[i];
		if (c <= ' ' || c > '~' || c == ';' || c == ',')
			return false;
		stroke = stroke || c == '/';
	}
	return stroke && type.len < 128;
}

static void add_system(struct growing *to, struct slice text)
{
	while (text.len) {
		const char *end = memchr(text.ptr, '\n', text.len);
		struct slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
		text = slice_from(text, line.len + 1);
		const char *comment = memchr(line.ptr, '#', line.len);
		if (comment)
			line.len = (size_t)(comment - line.ptr);
		struct slice type;
		if (!word_next(&line, &type) || !slice_trim(line).len || !type_is_sound(type))
			continue;
		add_words(to, lower_case(to->arena, type), line);
	}
}

static int compare_rows(const void *a, const void *b)
{
	const struct mime_row *x = a, *y = b;
	int order = compare_keys(x->extension, y->extension);
	return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

struct mime *mime_new(struct arena *arena, struct slice system)
{
	struct growing all = {.arena = arena};
	for (size_t i = 0; i < COUNT_OF(built_in); i++)
		add_words(&all, slice_of(built_in[i].type), slice_of(built_in[i].extensions));
	add_system(&all, system);
	struct mime *mime = arena_alloc(arena, sizeof *mime);
	size_t count = all.rows.len / sizeof(struct mime_row);
	mime->rows = arena_alloc(arena, all.rows.len);
	memcpy(mime->rows, all.rows.ptr, all.rows.len);
	buffer_free(&all.rows);
	qsort(mime->rows, count, sizeof(struct mime_row), compare_rows);
	mime->count = 0;
	for (size_t i = 0; i < count; i++)
		if (i == 0 || compare_keys(mime->rows[i].extension,
				      mime->rows[mime->count - 1].extension) != 0)
			mime->rows[mime->count++] = mime->rows[i];
	return mime;
}

struct mime *mime_system(struct arena *arena)
{
	struct buffer text = {NULL, 0, 0};
	int fd = open(SYSTEM_FILE, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		whole_read(fd, &text, SYSTEM_FILE_MAX);
		close(fd);
	}
	struct mime *mime = mime_new(arena, (struct slice){text.ptr, text.len});
	buffer_free(&text);
	return mime;
}

struct slice mime_find(const struct mime *mime, struct slice name)
{
	size_t begin = name.len;
	while (begin > 0 && name.ptr[begin - 1] != '.' && name.ptr[begin - 1] != '/')
		begin--;
	size_t length = name.len - begin;
	if (begin == 0 || name.ptr[begin - 1] != '.' || length == 0 || length > EXTENSION_MAX)
		return (struct slice){NULL, 0};
	struct key wanted = key_of(slice_from(name, begin));
	size_t low = 0, high = mime->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_keys(mime->rows[middle].extension, wanted);
		if (order == 0)
			return mime->rows[middle].type;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (struct slice){NULL, 0};
}

bool mime_is_text(struct slice type)
{
	return slice_starts(type, SLICE("text/"));
}

struct slice mime_passive(struct slice type, bool text)
{
	static const struct slice passive[] = {{"image/", 6}, {"audio/", 6}, {"video/", 6},
		{"font/", 5}, {"model/", 6}, {"application/", 12}};
	static const struct slice active[] = {{"xml", 3}, {"html", 4}, {"svg", 3}, {"script", 6},
		{"flash", 5}, {"wasm", 4}, {"octet-stream", 12}};
	struct slice plain = text ? SLICE("text/plain") : SLICE("application/octet-stream");
	bool known = false;
	for (size_t i = 0; i < COUNT_OF(passive); i++)
		known = known || slice_starts(type, passive[i]);
	if (!known || !type_is_sound(type))
		return slice_starts(type, SLICE("text/")) ? SLICE("text/plain") : plain;
	for (size_t i = 0; i < COUNT_OF(active); i++)
		if (memmem(type.ptr, type.len, active[i].ptr, active[i].len))
			return plain;
	return type;
}
