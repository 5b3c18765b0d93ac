# SPDX-License-Identifier: MIT
# What the tests of the checks share: a small clean tree, and a way to say that a seeded
# violation is found. Sourced after TOP is set.
. "$TOP/tests/lib/tap.sh"
TREE=$TMP/tree

# tree_clean - makes $TREE anew: three folders whose includes are all permitted and used
tree_clean() {
	rm -rf "$TREE"
	mkdir -p "$TREE/src/base" "$TREE/src/mem" "$TREE/src/dev" "$TREE/tools"
	cp "$TOP/.clang-format" "$TREE/"
	cp "$TOP/tools/banned.conf" "$TREE/tools/"
	printf '# SPDX-License-Identifier: MIT\nbase:\nmem: base\ndev: base\n' \
		>"$TREE/tools/layers.conf"
	cat >>"$TREE/tools/layers.conf" <<-'END'
		header linux/kvm.h: dev
	END
	: >"$TREE/tools/globals.allow"
	cat >"$TREE/src/base/err.h" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#ifndef ERR_H
		#define ERR_H

		int err_make(int code);

		#endif
	END
	cat >"$TREE/src/base/err.c" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#include "base/err.h"

		int err_make(int code)
		{
		@return -code;
		}
	END
	cat >"$TREE/src/mem/mem.h" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#ifndef MEM_H
		#define MEM_H

		int mem_map(int slot);

		#endif
	END
	cat >"$TREE/src/mem/mem.c" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#include "mem/mem.h"

		#include "base/err.h"

		int mem_map(int slot)
		{
		@return err_make(slot);
		}
	END
	cat >"$TREE/src/dev/uart.c" <<-'END'
		/* SPDX-License-Identifier: MIT */
		#include <linux/kvm.h>

		#include "base/err.h"

		struct uart_ops {
		@int (*reset)(int code);
		};

		extern const struct uart_ops uart_ops;

		const struct uart_ops uart_ops = {
		@.reset = err_make,
		};
	END
	for f in "$TREE"/src/*/*.[ch]; do
		tabs "$f"
	done
}

# tabs FILE - turns each @ of a here-document into the tab that <<- would eat
tabs() {
	tr '@' '\t' <"$1" >"$1.new" && mv "$1.new" "$1"
}

# tree_build - compiles $TREE as meson would, with a compile_commands.json
tree_build() {
	rm -rf "$TREE/build"
	mkdir -p "$TREE/build"
	sep='['
	for f in "$TREE"/src/*/*.c; do
		o=$(basename "$f").o
		gcc -O2 -fPIC -I"$TREE/src" -c "$f" -o "$TREE/build/$o" || return 1
		printf '%s{"directory": "%s", "file": "%s", "output": "%s", "command": ""}\n' \
			"$sep" "$TREE/build" "$f" "$o"
		sep=,
	done >"$TREE/build/compile_commands.json"
	echo ']' >>"$TREE/build/compile_commands.json"
}

# passes NAME TOOL... - the check is content
passes() {
	passes_name=$1
	shift
	check "$passes_name" "$@" --root "$TREE" || true
}

# finds NAME PATTERN TOOL... - the check fails, and says why
finds() {
	finds_name=$1
	pattern=$2
	shift 2
	if "$@" --root "$TREE" >"$TMP/finds.out" 2>&1 </dev/null; then
		not_ok "$finds_name: the check passed"
	elif grep -q -- "$pattern" "$TMP/finds.out"; then
		ok "$finds_name"
	else
		not_ok "$finds_name: no line says '$pattern'"
		tap_show "$TMP/finds.out"
	fi
}
