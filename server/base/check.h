/* SPDX-License-Identifier: BSD-2-Clause */
/* Assertions that stay in the program: a broken invariant ends the worker, the supervisor restarts it. */
#ifndef WEIR_BASE_CHECK_H
#define WEIR_BASE_CHECK_H

/* Names the broken invariant on standard error and in the error log, then aborts. Never returns. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define check(condition)                                                                           \
	(__builtin_expect(!!(condition), 1) ? (void)0                                              \
					    : check_failed(#condition, __FILE__, __LINE__))

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer) - __builtin_offsetof(type, member)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
