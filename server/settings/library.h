/* SPDX-License-Identifier: BSD-2-Clause */
/* Which libfyaml reads the configuration: for weir --version. */
#ifndef WEIR_SETTINGS_LIBRARY_H
#define WEIR_SETTINGS_LIBRARY_H

/* Its version as text. */
const char *settings_library(void);

#endif
