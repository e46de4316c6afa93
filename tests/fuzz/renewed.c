/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker that was taken over may leave to the next: whatever it is, nothing is read beyond it, and what is read can be written again. */
#include "process/renewed.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct renewed renewed;
	struct buffer again = {0};
	struct slice list = {(const char *)data, size};
	if (renewed_read(list, &renewed) == 0) {
		for (size_t i = 0; i < renewed.count; i++)
			check(renewed_add(&again, renewed.files[i].path, renewed.files[i].bytes) ==
				0);
		if (renewed.count > 0)
			check(slice_equal((struct slice){again.ptr, again.len}, list));
	}
	renewed_free(&renewed);
	buffer_free(&again);
	return 0;
}
