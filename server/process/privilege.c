/* SPDX-License-Identifier: BSD-2-Clause */
/* From root to an account without rights, checked afterwards: a drop that failed in silence would be worse than none. */
#include "process/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

int account_find(const char *name, struct account *account)
{
	errno = 0;
	const struct passwd *entry = getpwnam(name);
	if (!entry) {
		log_warn("there is no account %s: the worker runs as nobody", name);
		entry = getpwnam("nobody");
	}
	if (!entry) {
		log_error("there is no account %s and none named nobody: set `user`", name);
		return -1;
	}
	account->uid = entry->pw_uid;
	account->gid = entry->pw_gid;
	snprintf(account->name, sizeof(account->name), "%s", entry->pw_name);
	return 0;
}

int account_take(const struct account *account)
{
	if (geteuid() != 0 || account->uid == 0)
		return 0;
	if (initgroups(account->name, account->gid) ||
		setresgid(account->gid, account->gid, account->gid) ||
		setresuid(account->uid, account->uid, account->uid)) {
		log_error("cannot become %s: %m", account->name);
		return -1;
	}
	if (setuid(0) == 0 || getuid() != account->uid || geteuid() != account->uid) {
		log_error("cannot give up root's rights for those of %s", account->name);
		return -1;
	}
	return 0;
}

void privilege_raise_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
