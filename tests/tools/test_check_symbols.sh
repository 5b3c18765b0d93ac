#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeded violations for tools/check-symbols: each must be found, and a clean tree must pass.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/tools/seed.sh"
tool=$TOP/tools/check-symbols

# seed FILE - appends standard input to a file of a clean tree and builds it
seed() {
	tree_clean
	cat >>"$TREE/src/$1"
	tabs "$TREE/src/$1"
	tree_build
}

seed mem/mem.c </dev/null
passes "symbols: a clean tree passes" "$tool"

seed dev/uart.c <<'END'
int mem_map(int slot);
int uart_bad(void);
int uart_bad(void)
{
@return mem_map(1);
}
END
finds "symbols: a hand-written extern" "takes 'mem_map' from mem/" "$tool"

seed mem/mem.c <<'END'
static int counter = 1;
int mem_count(void);
int mem_count(void)
{
@return counter++;
}
END
finds "symbols: writable state with a value" "writable global state 'counter'" "$tool"
echo 'src/mem/mem.c counter a test needs it' >"$TREE/tools/globals.allow"
passes "symbols: state on the allow-list passes" "$tool"
echo 'src/mem/mem.c counter' >"$TREE/tools/globals.allow"
finds "symbols: an allow-list line without a reason" 'needs "source symbol reason"' "$tool"
printf 'src/mem/mem.c counter a test\nsrc/mem/mem.c gone a test\n' >"$TREE/tools/globals.allow"
finds "symbols: an allow-list line that matches nothing" "'gone' of src/mem/mem.c" "$tool"

seed mem/mem.c <<'END'
int mem_next(void);
int mem_next(void)
{
@static int last;
@return last++;
}
END
finds "symbols: writable state inside a function" "writable global state 'last'" "$tool"

seed mem/mem.c <<'END'
static __thread int mine;
int mem_mine(void);
int mem_mine(void)
{
@return mine++;
}
END
finds "symbols: thread-local state" "writable global state 'mine'" "$tool"

seed mem/mem.c <<'END'
int mem_common __attribute__((common));
END
finds "symbols: a common symbol" "writable global state 'mem_common'" "$tool"

seed dev/uart.c </dev/null
sed -i 's/const struct uart_ops uart_ops/struct uart_ops uart_ops/' "$TREE/src/dev/uart.c"
tree_build
finds "symbols: an ops table that is not const" "ops table 'uart_ops' is not const" "$tool"

seed mem/mem.c <<'END'
__attribute__((constructor)) static void early(void)
{
@mem_map(1);
}
END
finds "symbols: a constructor" 'has a constructor' "$tool"

tree_clean
mkdir -p "$TREE/build"
echo '[]' >"$TREE/build/compile_commands.json"
finds "symbols: a build that holds nothing" 'no object file' "$tool"

tap_done
