/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder, and records in it. */
#include "process/acme_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/whole.h"

/* --- The folder. --- */

static int make_parents(const char *path)
{
	char part[PATH_MAX];
	if (strlen(path) >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		memcpy(part, path, (size_t)(at - path));
		part[at - path] = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return -1;
	}
	return 0;
}

/* Whose it is stays so where it was there: it may be another machine's as well, and a wrong owner is told rather than put right. */
static int make_own(int parent, const char *name, uid_t uid, gid_t gid)
{
	if (mkdirat(parent, name, 0700))
		return errno == EEXIST ? 0 : -1;
	return uid == (uid_t)-1 ? 0 : fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int check_owner(int state, const char *path, uid_t uid)
{
	struct stat st;
	uid_t owner = uid == (uid_t)-1 ? geteuid() : uid;
	if (fstat(state, &st))
		return -1;
	if (st.st_uid != owner) {
		log_error(
			"acme: %s belongs to account %u, but its certificates are obtained by account %u "
			"(`user`): chown -R %u %s",
			path, (unsigned)st.st_uid, (unsigned)owner, (unsigned)owner, path);
		return 1;
	}
	if (st.st_mode & 077) {
		log_error("acme: %s, where private keys are, is open to others: chmod 700 %s", path,
			path);
		return 1;
	}
	return 0;
}

int acme_state_make(const char *path, uid_t uid, gid_t gid)
{
	int result = make_parents(path), state = -1;
	if (result == 0)
		result = make_own(AT_FDCWD, path, uid, gid);
	if (result == 0)
		result = state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state >= 0) {
		result = check_owner(state, path, uid);
		if (result == 0)
			result = make_own(state, ACME_CHALLENGES, uid, gid) ||
						 make_own(state, ACME_OWN, uid, gid)
					 ? -1
					 : 0;
	}
	if (result < 0)
		log_error("acme: cannot make the folder of the state %s: %m", path);
	if (state >= 0)
		close(state);
	return result ? -1 : 0;
}

void acme_state_make_name(const char *path, const char *name, uid_t uid, gid_t gid)
{
	char keys[300];
	int state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return;
	snprintf(keys, sizeof(keys), "private/%s", name);
	if (make_own(state, name, uid, gid) || make_own(state, "private", uid, gid) ||
		make_own(state, keys, uid, gid)) {
		/* then they are seen when they are looked for */
	}
	close(state);
}

static DIR *open_folder(int state, const char *name)
{
	int fd = openat(state, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder && fd >= 0)
		close(fd);
	return folder;
}

void acme_state_sweep(int state)
{
	DIR *folder = open_folder(state, ACME_CHALLENGES);
	struct dirent *entry;
	while (folder && (entry = readdir(folder)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
}

/* cert-SECONDS.pem; 0: it is another file. */
static unsigned long long put_aside(const char *name)
{
	unsigned long long when = 0;
	int length = 0;
	return sscanf(name, "cert-%20llu.pem%n", &when, &length) == 1 && length > 0 &&
			       name[length] == 0
		       ? when
		       : 0;
}

void acme_state_prune(int state, const char *name)
{
	DIR *folder = open_folder(state, name);
	struct dirent *entry;
	unsigned long long newest = 0;
	if (!folder)
		return;
	while ((entry = readdir(folder)) != NULL)
		if (put_aside(entry->d_name) > newest)
			newest = put_aside(entry->d_name);
	rewinddir(folder);
	while ((entry = readdir(folder)) != NULL)
		if (put_aside(entry->d_name) != 0 && put_aside(entry->d_name) < newest)
			unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
}

/* --- Records. --- */

static int record_path(char room[320], const char *name, const char *ending)
{
	int n = snprintf(room, 320, "%s/%s.state%s", ACME_OWN, name, ending);
	return n > 0 && n < 320 ? 0 : -1;
}

void acme_record_read(int state, const char *name, uint64_t about, struct acme_record *record)
{
	char path[320], text[1024];
	struct acme_record found = {0};
	int good, skip = 0;
	*record = (struct acme_record){.about = about};
	if (record_path(path, name, ""))
		return;
	int fd = openat(state, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = 0;
	if (sscanf(text,
		    "about %" SCNx64 "\nfailures %u\nlast %" SCNd64 "\nnext %" SCNd64
		    "\ngood %d\n%n",
		    &found.about, &found.failures, &found.last, &found.next, &good, &skip) != 5 ||
		skip == 0 || (about != 0 && found.about != about))
		return;
	found.good = good != 0;
	snprintf(found.text, sizeof(found.text), "%.*s", (int)strcspn(text + skip, "\n"),
		text + skip);
	*record = found;
}

int acme_record_write(int state, const char *name, const struct acme_record *record)
{
	char path[320], new[320], text[1024];
	if (record_path(path, name, "") || record_path(new, name, ".new")) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int length = snprintf(text, sizeof(text),
		"about %016" PRIx64 "\nfailures %u\nlast %" PRId64 "\nnext %" PRId64
		"\ngood %d\n%s\n",
		record->about, record->failures, record->last, record->next, record->good,
		record->text);
	int error = whole_replace(state, path, new, (struct slice){text, (size_t)length}, 0600);
	errno = error;
	return error ? -1 : 0;
}

/* An account that is held back, whichever. */
static bool failing_account(int state, struct acme_record *record)
{
	DIR *folder = open_folder(state, ACME_OWN);
	struct dirent *entry;
	bool found = false;
	while (folder && !found && (entry = readdir(folder)) != NULL) {
		char name[64];
		size_t length = strlen(entry->d_name);
		if (strncmp(entry->d_name, "account@", 8) != 0 || length < 15 ||
			length - 6 >= sizeof(name) ||
			strcmp(entry->d_name + length - 6, ".state") != 0)
			continue;
		memcpy(name, entry->d_name, length - 6);
		name[length - 6] = 0;
		acme_record_read(state, name, 0, record);
		found = record->failures > 0;
	}
	if (folder)
		closedir(folder);
	return found;
}

bool acme_record_of(const char *certificate_path, struct acme_record *record)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%s", certificate_path);
	char *slash = strrchr(path, '/');
	if (length < 0 || (size_t)length >= sizeof(path) || !slash || slash == path)
		return false;
	*slash = 0;
	char *name = strrchr(path, '/');
	if (!name || name == path)
		return false;
	*name++ = 0;
	int state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return false;
	struct acme_record account;
	acme_record_read(state, name, 0, record);
	if (record->failures == 0 && failing_account(state, &account))
		*record = account;
	close(state);
	return record->last != 0;
}
