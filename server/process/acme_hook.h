/* SPDX-License-Identifier: BSD-2-Clause */
/* The hook that uacme runs: puts what the authority will ask for where every listener answers it from (handlers/acme). */
#ifndef WEIR_PROCESS_ACME_HOOK_H
#define WEIR_PROCESS_ACME_HOOK_H

/* Names the folder of challenges to the hook, as it does to the one that comes with uacme. */
#define ACME_HOOK_FOLDER "UACME_CHALLENGE_PATH"

/* argv, from its beginning: begin|done|failed TYPE IDENTIFIER TOKEN AUTHORIZATION. 0: done; 1: this challenge is declined, or could not be prepared. */
int acme_hook(int argc, char **argv);

#endif
