/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of the state for one test, with what it takes to obtain a certificate there. */
#ifndef WEIR_TESTS_PROCESS_ACME_WORLD_H
#define WEIR_TESTS_PROCESS_ACME_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/acme.h"
#include "process/acme_state.h"

#define DAY 86400

struct world {
	char folder[64], path[96], script[96]; /* path: the state */
	int state, log;
	char *names[2];
	struct acme_certificate certificate;
	struct acme_leash leash;
	bool end; /* what the leash says */
	struct acme_means means;
};

/* For cmocka. */
int world_make(void **state);
int world_remove(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_remove)

void world_write(const char *path, const char *text, mode_t mode);
/* What stands in a file, as far as it goes; nothing where there is none. Returns `room`. */
char *world_read(const char *path, char *room, size_t size);
/* Do these words stand in the log? */
bool world_logged(const struct world *w, const char *words);
/* Puts a certificate for a.test where uacme has its own. */
void world_certificate(
	struct world *w, const char *first, const char *second, time_t begins, time_t ends);

#endif
