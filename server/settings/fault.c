/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong in a configuration, and the way it is told: place, words, the line and a mark under it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "settings/load.h"

enum { LINE_SHOWN = 120 };

__attribute__((format(printf, 2, 0))) static struct slice format_text(
	struct load *load, const char *format, va_list arguments)
{
	char text[2048];
	int length = vsnprintf(text, sizeof(text), format, arguments);
	size_t kept = length < 0 ? 0 : (size_t)length;
	if (kept >= sizeof(text))
		kept = sizeof(text) - 1;
	/* a value may hold anything; what is shown on a terminal may not */
	for (size_t i = 0; i < kept; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	}
	return arena_slice(&load->scratch, (struct slice){text, kept});
}

static struct fault *fault_add(struct load *load, bool warning)
{
	struct fault *fault = arena_zalloc(&load->scratch, sizeof(*fault));
	load->error_count += !warning;
	fault->warning = warning;
	fault->number = load->fault_count++;
	if (fault->number < LOAD_FAULTS_HELD) {
		fault->next = load->faults;
		load->faults = fault;
	}
	return fault;
}

static void fault_place(struct fault *fault, const struct node *node)
{
	fault->file = node->file;
	fault->line = node->line;
	fault->column = node->column;
	fault->start = node->start;
	fault->end = node->end;
}

int load_error(struct load *load, const struct node *node, const char *format, ...)
{
	va_list arguments;
	struct fault *fault = fault_add(load, false);
	fault_place(fault, node);
	va_start(arguments, format);
	fault->text = format_text(load, format, arguments);
	va_end(arguments);
	return -1;
}

void load_warn(struct load *load, const struct node *node, const char *format, ...)
{
	va_list arguments;
	struct fault *fault = fault_add(load, true);
	fault_place(fault, node);
	va_start(arguments, format);
	fault->text = format_text(load, format, arguments);
	va_end(arguments);
}

void fault_at(struct load *load, const struct config_file *file, size_t start, size_t end,
	unsigned line, unsigned column, const char *format, ...)
{
	va_list arguments;
	struct fault *fault = fault_add(load, false);
	fault->file = file;
	fault->start = start;
	fault->end = end;
	fault->line = line;
	fault->column = column;
	va_start(arguments, format);
	fault->text = format_text(load, format, arguments);
	va_end(arguments);
}

void fault_without_place(struct load *load, const char *format, ...)
{
	va_list arguments;
	struct fault *fault = fault_add(load, false);
	va_start(arguments, format);
	fault->text = format_text(load, format, arguments);
	va_end(arguments);
}

/* In the order of files and places, those without place last. */
static int fault_order(const void *left, const void *right)
{
	const struct fault *a = *(const struct fault *const *)left;
	const struct fault *b = *(const struct fault *const *)right;
	unsigned file_a = a->file ? a->file->order : UINT32_MAX;
	unsigned file_b = b->file ? b->file->order : UINT32_MAX;
	if (file_a != file_b)
		return file_a < file_b ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}

static bool same_fault(const struct fault *a, const struct fault *b)
{
	return a->file && a->file == b->file && a->line == b->line && a->column == b->column &&
	       slice_equal(a->text, b->text);
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The line in which the fault is, or as much of it as a terminal shows, and a mark under the place. */
static void print_line(const struct fault *fault, struct buffer *to)
{
	struct slice text = fault->file->text;
	size_t start = fault->start < text.len ? fault->start : text.len;
	size_t from = start, until = start;
	while (from > 0 && text.ptr[from - 1] != '\n' && start - from < LINE_SHOWN)
		from--;
	while (from < start && is_continuation(text.ptr[from]))
		from++;
	while (until < text.len && text.ptr[until] != '\n' && until - from < 2 * LINE_SHOWN)
		until++;
	while (until < text.len && until > start && is_continuation(text.ptr[until]))
		until--;
	if (until == from)
		return;
	buffer_format(to, "%5u | ", fault->line);
	size_t length;
	for (size_t i = from; i < until; i += length) {
		const char *at = text.ptr + i;
		length = parse_utf8_length(at, until - i);
		if (length == 0)
			buffer_append(to, "?", length = 1);
		else if (*at == '\t' || *at == '\r')
			buffer_append(to, " ", 1);
		else
			buffer_append(to, at, length);
	}
	buffer_format(to, "\n      | ");
	for (size_t i = from; i < start; i++) {
		if (!is_continuation(text.ptr[i]))
			buffer_append(to, " ", 1);
	}
	buffer_append(to, "^", 1);
	for (size_t i = start + 1; i < fault->end && i < until; i++) {
		if (!is_continuation(text.ptr[i]))
			buffer_append(to, "~", 1);
	}
	buffer_append(to, "\n", 1);
}

void fault_print(const struct load *load, struct buffer *to)
{
	size_t count = 0, i = 0;
	for (const struct fault *f = load->faults; f; f = f->next)
		count++;
	if (count == 0)
		return;
	const struct fault **sorted = must_alloc(count * sizeof(sorted[0]));
	for (const struct fault *f = load->faults; f; f = f->next)
		sorted[i++] = f;
	qsort(sorted, count, sizeof(sorted[0]), fault_order);
	for (i = 0; i < count && i < LOAD_FAULTS_SHOWN; i++) {
		const struct fault *fault = sorted[i];
		if (i > 0 && same_fault(sorted[i - 1], fault))
			continue; /* what several sites inherit is told once */
		const char *kind = fault->warning ? "warning" : "error";
		if (!fault->file) {
			buffer_format(to, "%s: %s\n", kind, fault->text.ptr);
			continue;
		}
		buffer_format(to, "%s:%u:%u: %s: %s\n", fault->file->name.ptr, fault->line,
			fault->column, kind, fault->text.ptr);
		print_line(fault, to);
	}
	if (load->fault_count > LOAD_FAULTS_SHOWN)
		buffer_format(to, "and %zu more\n", load->fault_count - LOAD_FAULTS_SHOWN);
	free(sorted);
}
