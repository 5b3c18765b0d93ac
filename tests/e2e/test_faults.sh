# SPDX-License-Identifier: MIT
# What holmd makes of a bad start and of a host that runs out: a sentence, and the old state intact.
# timeout: 60
# cost: 10
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"

BIN=$TOP/build/bin
payload count "$TMP/count.elf"
R=$TMP/run
S=$TMP/state
export HOLM_SOCKET="$R/holmd.sock"
unset HOLM_HOST HOLM_TOKEN
start() {
	"$BIN/holmd" --run-dir "$R" --state-dir "$S" "$@" >>"$TMP/log" 2>&1 &
	D=$!
	wait_for 10 "$BIN/holm" ls
}
end() {
	kill "$D"
	wait "$D"
}
# refuses CODE TEXT OPTION... - holmd ends at once with that status and a sentence
refuses() {
	refuses_code=$1
	refuses_text=$2
	shift 2
	timeout 10 "$BIN/holmd" "$@" >"$TMP/refused" 2>&1
	refuses_got=$?
	cat "$TMP/refused"
	[ $refuses_got = "$refuses_code" ] && grep -q "$refuses_text" "$TMP/refused"
}
create() {
	"$BIN/holm" create "$1" --kernel "$TMP/count.elf" --memory 8M --net none --engine soft
}

check "unknown option" refuses 2 "unknown" --walk
check "option without value" refuses 2 "missing" --state-dir
check "relative path" refuses 2 "absolute" --state-dir x
check "TCP without certificate" refuses 2 "TLS" --listen 127.0.0.1:0 --run-dir "$R" --state-dir "$S"
check "certificate that is none" refuses 2 "" --listen 127.0.0.1:0 --cert "$TMP/count.elf" --key "$TMP/count.elf" --run-dir "$R" --state-dir "$S"
check "policy that is none" refuses 2 "policy" --sched lottery
: >"$TMP/file"
check "a file where the folder should be" refuses 4 "cannot make folder" --run-dir "$R" --state-dir "$TMP/file/x"

start
check "create" create a
check "a second one on the same records" refuses 6 "holm.db" --run-dir "$TMP/run2" --state-dir "$S"
check "a second one on the same socket" refuses 6 "holmd.sock" --run-dir "$R" --state-dir "$TMP/state2"
check "the first goes on" "$BIN/holm" info a
end

cp "$S/holm.db" "$TMP/good.db"
sum=$(sha256sum <"$S/holm.db")
dd if=/dev/zero of="$S/holm.db" bs=4096 seek=1 count=2 conv=notrunc 2>/dev/null
bad=$(sha256sum <"$S/holm.db")
check "corrupt records" refuses 4 "holm.db" --run-dir "$R" --state-dir "$S"
check "are left as they are" [ "$(sha256sum <"$S/holm.db")" = "$bad" ]
echo "not a database at all, but long enough to be looked at" >"$S/holm.db"
check "a file that is no database" refuses 4 "holm.db" --run-dir "$R" --state-dir "$S"
cp "$TMP/good.db" "$S/holm.db"
python3 -c "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version=99'); c.commit()" "$S/holm.db"
check "records of a newer holmd" refuses 4 "99" --run-dir "$R" --state-dir "$S"
cp "$TMP/good.db" "$S/holm.db"
echo garbage >"$S/history.db"
start
check "a corrupt history is moved aside" [ -e "$S/history.db.bad" ]
check "the VM is still there" "$BIN/holm" info a
end

if [ "$(id -u)" = 0 ] && mkdir "$TMP/small" && mount -t tmpfs -o size=1m none "$TMP/small" 2>/dev/null; then
	S=$TMP/small
	start
	i=0
	while [ $i -lt 400 ] && create "v$i" >"$TMP/created" 2>&1; do
		i=$((i + 1))
	done
	check "a full disk is said" grep -qi "full\|space" "$TMP/created"
	check "some fit before" [ $i -gt 10 ]
	n=$("$BIN/holm" ls -q | wc -l)
	check "what was acknowledged is there, and no more" [ "$n" = $i ]
	kill -KILL "$D"
	wait "$D" 2>/dev/null
	mount -o remount,size=8m "$TMP/small"
	start
	check "also for the next holmd" [ "$("$BIN/holm" ls -q | wc -l)" = $i ]
	check "with room it goes on" create more
	end
	umount "$TMP/small"
else
	skip "full disk" "needs root to mount a small file system"
fi
tap_done
