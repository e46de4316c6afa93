/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in the folder of the state for a certificate. */
#ifndef WEIR_PROCESS_ACME_CERTIFICATE_H
#define WEIR_PROCESS_ACME_CERTIFICATE_H

#include <time.h>

#include "process/acme_plan.h"

struct acme_facts {
	time_t begins, ends;
	const char *
		wrong; /* why it is no use, for the log: "it is not for all names"; NULL: it is good while it lasts */
};

/* Reads it. 0, or -1 when there is none yet. */
int acme_certificate_read(
	int state, const struct acme_certificate *certificate, struct acme_facts *facts);

#endif
