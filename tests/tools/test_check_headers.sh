#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded violations for tools/check-headers: each must be found, and a clean tree must pass.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/tools/seed.sh"
tool=$TOP/tools/check-headers

tree_clean
passes "headers: a clean tree passes" "$tool"

printf '/* SPDX-License-Identifier: MIT */\nuint32_t mem_size(void);\n' >"$TREE/src/mem/a.h"
finds "headers: a header that needs another before it (gcc)" 'alone with gcc' "$tool"
finds "headers: a header that needs another before it (clang)" 'alone with clang' "$tool"

tree_clean
printf '/* SPDX-License-Identifier: MIT */\nstruct twice {\n\tint x;\n};\n' >"$TREE/src/mem/a.h"
finds "headers: a header without a guard" 'src/mem/a.h: does not compile' "$tool"

tree_clean
finds "headers: a compiler that is missing" 'is not installed' "$tool" --cc no-such-cc

tap_done
