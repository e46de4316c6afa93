/* SPDX-License-Identifier: BSD-2-Clause */
/* The ordered list of handlers, stages and observers: what authorities ask, policy, files, backends; then those that only watch. */
#include "handlers/table.h"

#include "handlers/access_log.h"
#include "handlers/acme.h"
#include "handlers/https_only.h"
#include "handlers/proxy/proxy.h"
#include "handlers/redirect.h"
#include "handlers/static/fallback.h"
#include "handlers/static/static.h"

const struct handler *const handler_table[] = {
	&acme_handler,
	&https_only_handler,
	&redirect_handler,
	&static_handler,
	&proxy_handler,
	&fallback_handler,
	&access_log_handler,
	NULL,
};
