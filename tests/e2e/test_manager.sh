# SPDX-License-Identifier: MIT
# The manager from the command line: a daemon on demand, VMs of the counting payload through their
# life, what is heard of them, batch jobs, and a daemon that ends when nothing is left to do.
# timeout: 120
# cost: 20
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"

payload count "$TMP/count.elf"
payload exit "$TMP/exit.elf"
BIN=$TOP/build/bin
export XDG_RUNTIME_DIR="$TMP/x" XDG_STATE_HOME="$TMP/s" HOLM_SOCKET="$TMP/x/holm/holmd.sock"
mkdir -m 700 "$TMP/x" "$TMP/s"
unset HOLM_HOST HOLM_TOKEN
holm() {
	"$BIN/holm" "$@"
}
VM="--memory 8M --net none --engine soft"
daemon() {
	"$BIN/holmd" --user --idle 2 --log "$TMP/holmd.log" "$@" >"$TMP/daemon.err" 2>&1 &
	DAEMON=$!
	wait_for 10 test -S "$HOLM_SOCKET"
}
state() {
	holm ls -a --format csv --no-header 2>/dev/null | grep "^$1," | cut -d, -f2
}
is() {
	[ "$(state "$1")" = "$2" ]
}
# says TEXT CMD... - it fails, and its sentence holds TEXT
says() {
	says_text=$1
	shift
	if says_out=$("$@" 2>&1 </dev/null); then
		echo "it succeeded"
		return 1
	fi
	echo "$says_out"
	case $says_out in *"$says_text"*) ;; *) return 1 ;; esac
}
ended() {
	! kill -0 "$DAEMON" 2>/dev/null
}

daemon
# shellcheck disable=SC2086
check "create" holm create web --kernel "$TMP/count.elf" $VM
check "created" is web created
check "start" holm start web
check "running" is web running
check "start again is refused with what is allowed" says "allowed: pause" holm start web
check "info names the engine" sh -c "'$BIN/holm' info web | grep -q 'engine: soft'"
sleep 1
check "log" sh -c "'$BIN/holm' logs web | grep -q 00000003"
check "stats" sh -c "'$BIN/holm' stats web --format json | grep -q cpu_ns"
check "pause" holm pause web
check "paused" is web paused
a=$(holm logs web | tail -n 1)
sleep 1
check "a paused VM counts no further" [ "$(holm logs web | tail -n 1)" = "$a" ]
check "resume" holm resume web
sleep 1
check "a resumed one does" [ "$(holm logs web | tail -n 1)" != "$a" ]
check "console in a pipe shows the count" sh -c "timeout 3 '$BIN/holm' console --read web </dev/null | head -c 400 | grep -q 0000000"
check "rename while it runs" holm rename web shop
check "under its new name" is shop running
check "reset" holm reset shop
check "power button" holm stop --timeout 20s shop
check "stopped" is shop stopped
check "how it ended" sh -c "'$BIN/holm' info shop | grep -q poweroff"
check "rm" holm rm shop
check "deleted" is shop deleted
check "not among the others" sh -c "! '$BIN/holm' ls -q | grep -q shop"
check "undelete" holm undelete shop
check "stopped again" is shop stopped

check "reboot begins a new process" sh -c "'$BIN/holm' start shop && '$BIN/holm' reboot shop && '$BIN/holm' info shop | grep -q 'state: running'"
check "kill -9 of its process is a crash" sh -c "kill -9 \$('$BIN/holm' info --format json shop | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p') && '$BIN/holm' wait --state crashed --timeout 5s shop"
check "it starts again by its policy" sh -c "'$BIN/holm' set shop --restart on-failure && '$BIN/holm' start shop && kill -9 \$('$BIN/holm' info --format json shop | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p') && sleep 0.5 && '$BIN/holm' wait --state running --timeout 10s shop"
check "kill" holm kill shop
check "purge" holm rm --purge shop
check "it is gone" says "there is no VM" holm info shop

# shellcheck disable=SC2086
check "job: its status is kept" says "" holm run --job --burst 5s --name job --kernel "$TMP/exit.elf" $VM --device isa-debug-exit,iobase=0xf4
# shellcheck disable=SC2086
holm run --job --burst 5s --name job2 --kernel "$TMP/exit.elf" $VM --device isa-debug-exit,iobase=0xf4 >/dev/null 2>&1
check "and it is this command's" [ $? = 85 ]
check "audit knows who did what" sh -c "'$BIN/holm' system audit | grep -q vm.purge"
check "audit verifies" holm system audit verify

check "unknown field" says "no 'color'" holm set job color=red
check "no kernel" says "kernel" holm create nokernel --memory 8M
# shellcheck disable=SC2086
check "a kernel that is not there" says "No such file" holm create --start gone --kernel "$TMP/nope" $VM
check "too large" says "" holm create --start huge --kernel "$TMP/count.elf" --memory 30T --net none
# shellcheck disable=SC2086
check "a name twice" says "exists" holm create job --kernel "$TMP/count.elf" $VM

# shellcheck disable=SC2086
check "autostart" holm create auto --autostart --kernel "$TMP/count.elf" $VM
kill -TERM "$DAEMON"
wait "$DAEMON"
check "SIGTERM ends the daemon well" [ $? = 0 ]
daemon
check "autostart is of the host, not of the daemon" is auto created
kill -TERM "$DAEMON"
wait "$DAEMON"
# What a reboot of the host takes away.
rm -rf "$TMP/x/holm"
daemon
check "a VM with autostart runs when the host has started" holm wait --state running --timeout 5s auto
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null
check "without a daemon the VM goes on" sh -c "kill -0 \$(cat '$TMP'/x/holm/vm/*/pid)"
check "a second command starts one on demand, and it adopts the VM" sh -c "env -u HOLM_SOCKET '$BIN/holm' ls | grep -q 'auto *running'"
check "and it is the first one's process" sh -c "'$BIN/holm' info auto | grep -q \"pid: $(cat "$TMP"/x/holm/vm/*/pid)\""
for p in $(pgrep -x holmd); do
	tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -q "^XDG_RUNTIME_DIR=$TMP/x$" && kill "$p"
done
sleep 1
daemon
check "kill the last" holm kill auto
check "an idle daemon ends by itself" wait_for 12 ended
check "its log has no error" sh -c "! grep -i 'error:' '$TMP/holmd.log'"
tap_done
