dnl SPDX-License-Identifier: BSD-2-Clause
dnl WEIR_TRY_FLAG(VARIABLE, FLAG): appends FLAG to VARIABLE where the compiler takes it without a word.
dnl The flags already in VARIABLE are given too, for some are only legal beside others.
AC_DEFUN([WEIR_TRY_FLAG], [
	AS_VAR_PUSHDEF([cached], [weir_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cached], [
		weir_saved_cflags=$CFLAGS
		CFLAGS="$CFLAGS -Werror $$1 $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
		CFLAGS=$weir_saved_cflags
	])
	AS_VAR_IF([cached], [yes], [$1="$$1 $2"])
	AS_VAR_POPDEF([cached])
])

dnl WEIR_TRY_LDFLAG(VARIABLE, FLAG): the same for the linker.
AC_DEFUN([WEIR_TRY_LDFLAG], [
	AS_VAR_PUSHDEF([cached], [weir_cv_ldflag_$2])
	AC_CACHE_CHECK([whether the linker takes $2], [cached], [
		weir_saved_ldflags=$LDFLAGS
		LDFLAGS="$LDFLAGS $$1 $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
		LDFLAGS=$weir_saved_ldflags
	])
	AS_VAR_IF([cached], [yes], [$1="$$1 $2"])
	AS_VAR_POPDEF([cached])
])

dnl WEIR_PROG_PYTEST: sets PYTHON to an interpreter that has pytest, or to `:` where there is none.
dnl The first python3 in the path need not be the one that the distribution's pytest belongs to.
AC_DEFUN([WEIR_PROG_PYTEST], [
	AC_ARG_VAR([PYTHON], [the Python interpreter that has pytest])
	AC_CACHE_CHECK([for a python3 with pytest], [weir_cv_python], [
		weir_cv_python=no
		for candidate in "$PYTHON" /usr/bin/python3 python3 /usr/local/bin/python3; do
			AS_IF([test -n "$candidate" && "$candidate" -c 'import pytest' >/dev/null 2>&1],
				[weir_cv_python=$candidate; break])
		done
	])
	AS_IF([test "$weir_cv_python" = no], [
		have_pytest=no
		AC_PATH_PROGS([PYTHON], [python3], [:])
	], [
		have_pytest=yes
		PYTHON=$weir_cv_python
	])
])
