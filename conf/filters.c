/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes server/process/sandbox_filters.c while weir is built: the lists of system calls, compiled by libseccomp for the kernel. That takes as long
 * as half of a start, and comes out the same each time. Not installed. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/sandbox_calls.h"
#include "process/sandbox_filters.h"

#define LENGTH_MAX 4096 /* BPF_MAXINSNS: the kernel takes no more */

/* Allows a call where all these hold. One that the system does not know is no error. */
static int allow(
	scmp_filter_ctx filter, const char *name, const struct scmp_arg_cmp *only, unsigned count)
{
	int number = seccomp_syscall_resolve_name(name);
	if (number < 0)
		return 0;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, only) ? -1 : 0;
}

static int add_calls(scmp_filter_ctx filter, enum sandbox_kind kind, bool local)
{
	const struct scmp_arg_cmp local_stream[] = {
		{0, SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_UNIX},
		{1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM},
	};
	const struct scmp_arg_cmp own = {0, SCMP_CMP_MASKED_EQ, UINT32_MAX, SANDBOX_OWN_ID};
	int result = 0;
	for (const char *const *call = sandbox_calls(kind); *call; call++)
		result |= allow(filter, *call, NULL, 0);
	for (const struct sandbox_narrow *narrow = sandbox_narrow(kind); narrow->name; narrow++) {
		struct scmp_arg_cmp only = {
			narrow->argument, SCMP_CMP_MASKED_EQ, narrow->mask, narrow->value};
		result |= allow(filter, narrow->name, &only, 1);
	}
	/* The control socket and the service manager's are of other types. */
	if (local)
		result |= allow(filter, "socket", local_stream, 2);
	result |= allow(filter, "tgkill", &own, 1);
	/* Its flags stand in memory, where no filter sees them. This answer makes the library take clone. */
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0))
		result = -1;
	return result;
}

/* How many instructions it comes to; 0: it failed. */
static size_t compile(enum sandbox_kind kind, bool local, struct sock_filter list[LENGTH_MAX])
{
	ssize_t length = 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int file = memfd_create("filter", MFD_CLOEXEC);
	if (filter && file >= 0 && !seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) &&
		!add_calls(filter, kind, local) && !seccomp_export_bpf(filter, file))
		length = pread(file, list, LENGTH_MAX * sizeof(*list), 0);
	if (filter)
		seccomp_release(filter);
	if (file >= 0)
		close(file);
	return length > 0 ? (size_t)length / sizeof(*list) : 0;
}

static int write_filter(const char *name, enum sandbox_kind kind, bool local)
{
	static struct sock_filter list[LENGTH_MAX];
	size_t length = compile(kind, local, list);
	if (length == 0) {
		fprintf(stderr, "filters: libseccomp cannot make the filter %s\n", name);
		return -1;
	}
	printf("\nstatic const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < length; i++)
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", list[i].code, list[i].jt, list[i].jf,
			list[i].k);
	printf("};\n");
	return 0;
}

static const char end[] =
	"\nstruct sandbox_filter sandbox_filter(enum sandbox_kind kind, bool local)\n"
	"{\n"
	"\tif (kind == SANDBOX_SIGNER)\n"
	"\t\treturn (struct sandbox_filter){signer, sizeof(signer) / sizeof(signer[0])};\n"
	"\tif (local)\n"
	"\t\treturn (struct sandbox_filter){local_worker, sizeof(local_worker) / sizeof(local_worker[0])};\n"
	"\treturn (struct sandbox_filter){worker, sizeof(worker) / sizeof(worker[0])};\n"
	"}\n";

int main(void)
{
	const struct scmp_version *version = seccomp_version();
	printf("/* Made by conf/filters. */\n#include \"process/sandbox_filters.h\"\n");
	if (write_filter("worker", SANDBOX_WORKER, false) ||
		write_filter("local_worker", SANDBOX_WORKER, true) ||
		write_filter("signer", SANDBOX_SIGNER, false))
		return 1;
	printf("%s\nconst char *sandbox_filter_library(void)\n{\n\treturn \"%u.%u.%u\";\n}\n", end,
		version->major, version->minor, version->micro);
	return fflush(stdout) || ferror(stdout);
}
