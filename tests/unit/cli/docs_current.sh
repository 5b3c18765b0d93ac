#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/CLI.md is what the command table says; the manual pages and completions can be read.
# usage: docs_current.sh HOLM TOP
set -eu
holm=$1
top=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$holm" gen-docs markdown >"$tmp/CLI.md"
diff -u "$top/docs/CLI.md" "$tmp/CLI.md" || {
	echo "docs/CLI.md is old; run: build/bin/holm gen-docs markdown >docs/CLI.md"
	exit 1
}
"$holm" gen-docs states >"$tmp/STATES.md"
diff -u "$top/docs/STATES.md" "$tmp/STATES.md" || {
	echo "docs/STATES.md is old; run: build/bin/holm gen-docs states >docs/STATES.md"
	exit 1
}
# The build's list of manual pages is whole, and each can be read.
"$holm" gen-docs names >"$tmp/names"
sed -n "/^man_pages = \[/,/^\]/p" "$top/src/meson.build" | grep -o "'[^']*'" | tr -d "'" >"$tmp/listed"
tr ' ' - <"$tmp/names" | diff -u - "$tmp/listed" || {
	echo "man_pages in src/meson.build is not the list of 'holm gen-docs names'"
	exit 1
}
echo >>"$tmp/names"
while read -r c; do
	# shellcheck disable=SC2086
	"$holm" man $c >"$tmp/page"
	grep -q '^\.SH EXIT STATUS' "$tmp/page"
	if command -v mandoc >/dev/null; then
		mandoc -Tlint -Werror "$tmp/page"
	fi
done <"$tmp/names"
"$holm" completion bash | bash -n
[ -z "$(command -v zsh)" ] || "$holm" completion zsh | zsh -n
[ -z "$(command -v fish)" ] || "$holm" completion fish | fish -n
# offers WORD... -- WANTED...: what bash offers at the end of these words.
"$holm" completion bash >"$tmp/bash"
offers() {
	offered=$(bash -c '. "$1"; shift
		COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holm; echo "${COMPREPLY[*]}"' bash "$tmp/bash" "$@")
}
same() {
	[ "$offered" = "$1" ] || {
		echo "bash offers '$offered', not '$1'"
		exit 1
	}
}
offers holm run --eng
same --engine
offers holm net cr
same create
offers holm net create --ki
same --kind
offers holm net create x --kind n
same nat
offers holm system au
same audit
offers holm stop --fo
same --force
