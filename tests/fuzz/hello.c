/* SPDX-License-Identifier: BSD-2-Clause */
/* ClientHellos and headers of records: whatever comes, nothing is read beyond it, and pieces of it mean what the whole does. The first
 * octet chooses the phase and the piece. */
#include "base/check.h"
#include "io/tls_strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct slice bytes = {(const char *)data + 1, size - 1};
	struct strict_hello hello;
	int alert = strict_hello_read(&hello, bytes);
	check(alert == STRICT_GOOD || alert == STRICT_DECODE_ERROR ||
		alert == STRICT_ILLEGAL_PARAMETER);
	if (alert == STRICT_GOOD && strict_hello_newest(&hello) == STRICT_GOOD)
		check(hello.plain && hello.groups == hello.shares);

	enum strict_phase phase = (enum strict_phase)(data[0] & 3);
	size_t piece = 1 + (data[0] >> 2);
	struct strict_records whole = {0}, pieces = {0};
	int at_once = strict_records_take(&whole, phase, bytes);
	int one_by_one = STRICT_GOOD;
	while (bytes.len > 0 && one_by_one == STRICT_GOOD) {
		size_t length = piece < bytes.len ? piece : bytes.len;
		one_by_one = strict_records_take(&pieces, phase, (struct slice){bytes.ptr, length});
		bytes = slice_from(bytes, length);
	}
	check(at_once == one_by_one);
	if (at_once == STRICT_GOOD)
		check(whole.left == pieces.left && whole.have == pieces.have);
	return 0;
}
