#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded violations for tools/check-banned: each must be found, and a clean tree must pass.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/tools/seed.sh"
tool=$TOP/tools/check-banned
c=src/mem/mem.c

tree_clean
passes "banned: a clean tree passes" "$tool"

for name in strcpy sprintf strcat atoi strtok alloca system; do
	tree_clean
	printf 'void f(void);\nvoid f(void)\n{\n\t%s(0);\n}\n' $name >>"$TREE/$c"
	finds "banned: $name" "'$name' is banned" "$tool"
done

tree_clean
printf '/* strcpy(a, b) */\nconst char *mem_text = "atoi(x)";\n' >>"$TREE/$c"
passes "banned: a name in a comment or a string is none" "$tool"

tree_clean
sed -i 1d "$TREE/$c"
finds "banned: no licence head" 'SPDX-License-Identifier' "$tool"

tree_clean
printf '/* %0120d */\n' 0 >>"$TREE/$c"
finds "banned: a line that is too long" '100 at most' "$tool"

tree_clean
{
	printf 'int mem_long(int x);\nint mem_long(int x)\n{\n'
	yes '	x++;' | head -n 121
	printf '}\n'
} >>"$TREE/$c"
finds "banned: a function that is too long" 'function of 121 lines' "$tool"
sed -i 's,^int mem_long(int x)$,/* length-exception: one table */\n&,' "$TREE/$c"
passes "banned: a long function that says why passes" "$tool"

tree_clean
yes 'extern int mem_one;' | head -n 1001 >>"$TREE/$c"
finds "banned: a file that is too long" '1000 at most' "$tool"
sed -i '2i /* length-exception: a generated table */' "$TREE/$c"
passes "banned: a long file that says why passes" "$tool"

tree_clean
printf 'typedef struct mem mem_t;\n' >>"$TREE/$c"
finds "banned: a typedef of a struct" 'typedef of a struct' "$tool"

tree_clean
printf 'see https://registry.npm%s.org/\n' js >"$TREE/README.md"
finds "banned: a registry's host" 'package registry' "$tool"

tree_clean
echo 'strcpy' >>"$TREE/tools/banned.conf"
finds "banned: a banned name without a reason" 'needs "name: reason"' "$tool"

tap_done
