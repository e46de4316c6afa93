/* SPDX-License-Identifier: BSD-2-Clause */
/* weir explain: a URL, asked of a configuration as a client would ask it, with nothing sent to anybody. */
#ifndef WEIR_QUESTION_H
#define WEIR_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

struct program;

/* As the command line has it. */
struct question {
	const char *file; /* the configuration, absolute */
	const char *url;
	const char *method;        /* "GET" */
	const char *const *fields; /* "Name: value" */
	size_t field_count;
	const char *from; /* the client's address; NULL: 127.0.0.1 */
	bool json;
};

/* Writes the explanation to standard output. Returns the exit code. */
int question_ask(const struct question *question, const struct program *program);

#endif
