/* SPDX-License-Identifier: BSD-2-Clause */
/* The helper that obtains certificates: `weir acme`, started by the supervisor for a worker. */
#ifndef WEIR_PROCESS_ACME_HELPER_H
#define WEIR_PROCESS_ACME_HELPER_H

/* Its exit code. */
int acme_helper_run(void);

#endif
