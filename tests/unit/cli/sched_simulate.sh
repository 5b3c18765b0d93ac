#!/bin/sh
# SPDX-License-Identifier: MIT
# holm sched simulate: the textbook's means, the chart, and sentences for what is wrong.
# usage: sched_simulate.sh HOLM TOP
set -eu
holm=$1
. "$2/tests/lib/tap.sh"

# A table's cell: policy, number of the column.
cell() {
	awk -v p="$1" -v c="$2" '$1 == p { print $c }' "$TMP/table"
}

# expect NAME WANT GOT
expect() {
	if [ "$2" = "$3" ]; then ok "$1"; else
		not_ok "$1"
		echo "#   wanted '$2', got '$3'"
	fi
}

# refused NAME STATUS SENTENCE ARGUMENT...
refused() {
	name=$1 want=$2 says=$3
	shift 3
	status=0
	"$holm" sched "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
	if [ "$status" = "$want" ] && grep -qF -- "$says" "$TMP/err" && [ ! -s "$TMP/out" ]; then
		ok "$name"
	else
		not_ok "$name"
		echo "#   status $status"
		tap_show "$TMP/err"
	fi
}

# All at 0, bursts 24, 3, 3: FCFS waits 0 24 27; RR of 4 waits 6 4 7; SJF waits 6 0 3.
printf '{"id": "P%d", "arrival_ms": 0, "burst_ms": %d}\n' 1 24 2 3 3 3 >"$TMP/trace"
"$holm" sched simulate "$TMP/trace" --quantum 4 --svg "$TMP/gantt.svg" >"$TMP/table"
expect 'five lines' 5 "$(wc -l <"$TMP/table")"
expect 'mean wait of fcfs' 17.0 "$(cell fcfs 2)"
expect 'mean wait of rr' 5.7 "$(cell rr 2)"
expect 'mean wait of sjf' 3.0 "$(cell sjf 2)"
expect 'longest wait of fcfs' 27 "$(cell fcfs 3)"
expect 'turnaround of fcfs' 27.0 "$(cell fcfs 4)"
expect 'response of rr' 3.7 "$(cell rr 5)"
expect 'end of fair' 30 "$(cell fair 6)"
expect 'a chart for each policy' 4 "$(grep -c 'mean wait' "$TMP/gantt.svg")"
"$holm" sched simulate "$TMP/trace" --policy rr --quantum 4 --format json >"$TMP/json"
expect 'one policy' 1 "$(grep -c '"policy": "rr"' "$TMP/json")"
expect 'its slices' 2 "$(grep -A 7 '"P1"' "$TMP/json" | sed -n 's/.*"slices": //p')"

echo '{"arrival_ms": 0, "burst_ms": 3, "colour": 1}' >>"$TMP/trace"
refused 'unknown field' 2 'line 4: unknown field colour' simulate "$TMP/trace"
refused 'no file' 4 'cannot open' simulate "$TMP/none"
refused 'no verb' 2 "unknown command 'sched walk'" walk
refused 'no trace' 2 'name a trace' simulate
refused 'no policy' 2 "'z' is no scheduling policy" simulate "$TMP/trace" --policy z
refused 'no number' 2 "--quantum '4x'" simulate "$TMP/trace" --quantum 4x
if "$holm" help states | grep -q '^suspended   restore     resuming '; then
	ok 'the states are printed'
else
	not_ok 'the states are printed'
fi
tap_done
