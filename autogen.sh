#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes configure and its company from configure.ac and Makefile.am.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake pkg-config; do
	command -v $tool >/dev/null || {
		echo "autogen.sh: $tool is missing; packages.txt lists what is needed" >&2
		exit 1
	}
done
mkdir -p build-aux
exec autoreconf --install --force "$@"
