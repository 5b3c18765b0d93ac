#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded violations for tools/check-format: each must be found, and a clean tree must pass.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/tools/seed.sh"
tool=$TOP/tools/check-format

tree_clean
passes "format: a clean tree passes" "$tool"

sed -i 's/^	return/        return/' "$TREE/src/mem/mem.c"
finds "format: spaces for a tab" 'src/mem/mem.c: is not as' "$tool"

tree_clean
printf 'int mem_more( int  x );\n' >>"$TREE/src/mem/mem.h"
finds "format: loose spaces in a header" 'src/mem/mem.h: is not as' "$tool"

tree_clean
printf 'NoSuchOption: 1\n' >>"$TREE/.clang-format"
finds "format: a broken .clang-format" 'clang-format failed' "$tool"

tap_done
