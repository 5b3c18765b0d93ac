#!/bin/sh
# SPDX-License-Identifier: MIT
# Bad input of every kind: one sentence on stderr that names the thing, the documented exit code,
# nothing left behind.
# timeout: 180
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"

# bad NAME CODES WORD OPTION... - holm run refuses these options: exit code one of CODES (with |
# between), one line on stderr that holds WORD (a basic pattern, any case)
bad() {
	bad_name=$1
	bad_codes=$2
	bad_word=$3
	shift 3
	ls -a "$WORK" >"$TMP/before"
	timeout 20 "$HOLM" "$@" >"$TMP/bad.out" 2>"$TMP/bad.err" </dev/null
	bad_rc=$?
	ls -a "$WORK" >"$TMP/after"
	bad_lines=$(wc -l <"$TMP/bad.err")
	case "|$bad_codes|" in
	*"|$bad_rc|"*) bad_why= ;;
	*) bad_why="exit code $bad_rc, not $bad_codes" ;;
	esac
	[ "$bad_lines" = 1 ] || bad_why="$bad_why; $bad_lines lines on stderr"
	grep -qi -- "$bad_word" "$TMP/bad.err" || bad_why="$bad_why; does not say '$bad_word'"
	cmp -s "$TMP/before" "$TMP/after" || bad_why="$bad_why; left files behind"
	if [ -z "$bad_why" ]; then
		ok "bad input: $bad_name"
	else
		not_ok "bad input: $bad_name: ${bad_why#; }"
		tap_show "$TMP/bad.err"
	fi
}

WORK=$TMP/work
mkdir "$WORK"
cd "$WORK" || exit 1
payload halt halt.elf
payload exit exit.elf
head -c 100000 /dev/urandom >noise
: >empty
mkdir folder
truncate -s 200M big
truncate -s 1000 odd
truncate -s 1M disk
printf '{"kernel": ' >broken.json
printf '{"kernle": "x"}' >unknown.json
S="--engine soft --net none --memory 64M"

# $S is a list of words.
# shellcheck disable=SC2086
cases() {
	bad "no kernel" 2 kernel run $S
	bad "missing kernel" 4 no-such run $S --kernel no-such
	bad "kernel of noise" 4 noise run $S --kernel noise
	bad "empty kernel" 4 empty run $S --kernel empty
	bad "kernel that is a folder" 4 folder run $S --kernel folder
	if [ -e "$GUEST/vmlinuz" ]; then
		head -c 300000 "$GUEST/vmlinuz" >short
		bad "truncated kernel" 4 short run $S --kernel short
	fi
	head -c 4200 halt.elf >short.elf
	bad "missing initrd" 4 no-initrd run $S --kernel exit.elf --initrd no-initrd
	bad "initrd larger than RAM" '2|4|10' big run $S --kernel exit.elf --initrd big
	bad "no memory" 2 memory run --engine soft --net none --memory 0 --kernel exit.elf
	bad "memory above the host's" '2|10' memory run --engine soft --net none --memory 900T --kernel exit.elf
	bad "memory that is no size" 2 12Q run --engine soft --net none --memory 12Q --kernel exit.elf
	bad "no vCPU" 2 cpus run $S --kernel exit.elf --cpus 0
	bad "too many vCPUs" 2 cpus run $S --kernel exit.elf --cpus 100000
	bad "unknown option" 2 no-such-option run $S --kernel exit.elf --no-such-option
	bad "unknown command" 2 fly fly
	bad "unknown engine" 2 magic run --engine magic --kernel exit.elf
	bad "unknown device" 2 teapot run $S --kernel exit.elf --device teapot
	bad "unknown key of a device" 2 colour run $S --kernel exit.elf --device isa-debug-exit,colour=1
	bad "unknown network" 2 pigeon run --engine soft --kernel exit.elf --net pigeon
	bad "missing disk" 4 no-disk run $S --kernel exit.elf --disk no-disk
	bad "disk that is a folder" 4 folder run $S --kernel exit.elf --disk folder
	bad "disk of 1000 bytes" 4 odd run $S --kernel exit.elf --disk odd
	bad "serial file in no folder" '4|10' no-folder run $S --kernel exit.elf --serial file:no-folder/x
	bad "missing configuration" 4 no.json run --config no.json
	bad "broken configuration" '2|4' broken.json run --config broken.json
	bad "unknown name in the configuration" '2|4' kernle run --config unknown.json

	port=$(free_port)
	python3 -c "import socket, time
s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen(1); time.sleep(100)" </dev/null &
	holder=$!
	wait_for 5 sh -c "ss -ltn | grep -q ':$port '"
	bad "port that is taken" 6 "$port" run --engine soft --memory 64M --net user -p "$port:80" \
		--kernel exit.elf
	kill $holder
	wait $holder 2>/dev/null

	"$HOLM" run $S --kernel halt.elf --disk disk --serial file:first.log >"$TMP/first.out" 2>&1 \
		</dev/null &
	holder=$!
	wait_for 10 test -e first.log
	sleep 1
	bad "disk in use by another VM" 6 disk run $S --kernel exit.elf --disk disk
	bad "the same, read-only" 6 disk run $S --kernel exit.elf --disk disk,readonly
	kill -KILL $holder 2>/dev/null
	wait $holder 2>/dev/null
	sleep 1
	check "bad input: the lock ends with its VM" sh -c "timeout 20 '$HOLM' run $S --kernel exit.elf \
		--disk disk --device isa-debug-exit,iobase=0xf4; [ \$? = 85 ]"

	if [ -e /dev/kvm ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
		# Hidden behind an ordinary file, as where there is no such device.
		cat >"$TMP/nokvm" <<-END
			#!/bin/sh
			mount --bind /dev/null /dev/kvm && exec "$HOLM" "\$@"
		END
		chmod +x "$TMP/nokvm"
		real=$HOLM
		HOLM="unshare"
		bad "no KVM" 8 kvm -m "$TMP/nokvm" run --engine kvm --net none --memory 64M \
			--kernel exit.elf
		HOLM=$real
	elif [ ! -e /dev/kvm ]; then
		bad "no KVM" 8 kvm run --engine kvm --net none --memory 64M --kernel exit.elf
	else
		skip "bad input: no KVM" "hiding /dev/kvm needs root"
	fi
}
cases
tap_done
