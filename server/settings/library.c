/* SPDX-License-Identifier: BSD-2-Clause */
/* The version of libfyaml that runs, which need not be the one that was there at build time. */
#include "settings/library.h"

#include <libfyaml.h>

const char *settings_library(void)
{
	return fy_library_version();
}
