/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON Schema and the manual's reference, from the rows that the loader obeys. */
#ifndef WEIR_SETTINGS_DESCRIBE_H
#define WEIR_SETTINGS_DESCRIBE_H

#include "settings/snapshot.h"

/* Appends conf/weir.schema.json. */
void describe_schema(struct buffer *to, const struct option_sets *sets);
/* Appends the reference part of weir.yaml(5) as mdoc/man text. */
void describe_manual(struct buffer *to, const struct option_sets *sets);

#endif
