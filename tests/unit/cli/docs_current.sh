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
for c in '' run doctor sched version help completion man; do
	# shellcheck disable=SC2086
	"$holm" man $c >"$tmp/page"
	grep -q '^\.SH EXIT STATUS' "$tmp/page"
	if command -v mandoc >/dev/null; then
		mandoc -Tlint -Werror "$tmp/page"
	fi
done
"$holm" completion bash | bash -n
[ -z "$(command -v zsh)" ] || "$holm" completion zsh | zsh -n
[ -z "$(command -v fish)" ] || "$holm" completion fish | fish -n
# The words that bash offers.
words=$(bash -c '. /dev/stdin; COMP_WORDS=(holm run --eng); COMP_CWORD=2; _holm
	echo "${COMPREPLY[*]}"' <<END
$("$holm" completion bash)
END
)
[ "$words" = --engine ] || {
	echo "bash offers '$words', not --engine"
	exit 1
}
