/* SPDX-License-Identifier: BSD-2-Clause */
/* libmagic behind the seam of http/sniffer.h: the only place that knows it. */
#ifndef WEIR_PROCESS_MAGIC_H
#define WEIR_PROCESS_MAGIC_H

#include "http/sniffer.h"

/* Maps the system's database, before the worker locks itself in: afterwards nothing of the disk is wanted any more. NULL with errno where
 * there is none. A worker's lives as long as the process. */
struct sniffer *magic_sniffer(void);
/* Gives it back; nobody asks it any more. NULL: nothing. */
void magic_sniffer_free(struct sniffer *sniffer);
/* libmagic's version, for weir --version: 544 is 5.44. */
int magic_library(void);

#endif
