/* SPDX-License-Identifier: BSD-2-Clause */
/* File systems that another machine or another program answers for. What is changed beneath an overlay's own mount is seen; its
 * layers must not be changed by others while it is mounted. */
#include "io/remote.h"

#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#include "base/check.h"

static bool is_remote(const struct statfs *info)
{
	static const unsigned long remote[] = {
		NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
		FUSE_SUPER_MAGIC, V9FS_MAGIC, AFS_SUPER_MAGIC, AFS_FS_MAGIC, CEPH_SUPER_MAGIC,
		CODA_SUPER_MAGIC, NCP_SUPER_MAGIC, OCFS2_SUPER_MAGIC, AUTOFS_SUPER_MAGIC,
		ECRYPTFS_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, 0x01161970, /* GFS2 */
		0x0bd00bd0,                                                      /* Lustre */
		0x47504653,                                                      /* GPFS */
		0x786f4256, /* VirtualBox's shared folders */
		0xaad7aaea, /* PanFS */
	};
	for (size_t i = 0; i < COUNT_OF(remote); i++) {
		/* Some architectures sign f_type. */
		if ((uint32_t)info->f_type == (uint32_t)remote[i])
			return true;
	}
	return false;
}

bool remote_path(const char *path)
{
	struct statfs info;
	errno = 0;
	return statfs(path, &info) < 0 || is_remote(&info);
}

bool remote_descriptor(int fd)
{
	struct statfs info;
	errno = 0;
	return fstatfs(fd, &info) < 0 || is_remote(&info);
}
