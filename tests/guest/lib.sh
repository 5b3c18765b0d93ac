# SPDX-License-Identifier: MIT
# What the guest tests share. Sourced after TOP is set; brings tap.sh with it.
#
# A test's commands run in the guest as /cmd, which is a second cpio archive behind the small
# initramfs. They say what they found by "T ok NAME" or "T bad NAME: why" on the console; the
# host turns those lines into results and knows which it must see, so that a guest that dies
# half-way fails. HOLM may name another program with the same options.
. "$TOP/tests/lib/tap.sh"
HOLM=${HOLM:-$TOP/build/bin/holm}
GUEST=$TOP/build/guest
ENGINE=${ENGINE:-soft}

# guest_functions - what commands in the guest may use, as shell text
guest_functions() {
	cat <<-'END'
		# t NAME COMMAND... - results go out as one write each, so that kernel messages do not cut
		# them.
		t() {
			t_name=$1
			shift
			if t_out=$("$@" 2>&1); then
				echo "T ok $t_name"
			else
				echo "T bad $t_name: $(echo "$t_out" | tail -n 3 | tr '\n' ' ')"
			fi
		}
		# kernel_content - the kernel met nothing that it had to warn of, unknown MSRs included
		kernel_content() {
			! dmesg | grep -E "BUG:|Oops|WARNING:|MSR access error|Call Trace|EXT4-fs error|I/O error|soft lockup|rcu.*stall"
		}
	END
}

# guest_script NAME - makes $TMP/NAME.img, the initramfs with what is in $TMP/NAME.d and, as the
# command, standard input
guest_script() {
	mkdir -p "$TMP/$1.d"
	{
		guest_functions
		cat
	} >"$TMP/$1.d/cmd"
	# To a multiple of 512, as cpio pads: the kernel takes archives one behind the other.
	(cat "$GUEST/initramfs.img" && cd "$TMP/$1.d" && ls |
		cpio -o -H newc -R 0:0 --quiet) >"$TMP/$1.img"
}

# guest_run NAME SECONDS OPTION... - boots $TMP/NAME.img; the console goes to $TMP/NAME.out and
# the status to $VM_RC
guest_run() {
	run_name=$1
	run_limit=$2
	shift 2
	[ -e "$TMP/$run_name.img" ] || cp "$GUEST/initramfs.img" "$TMP/$run_name.img"
	run_start=$(date +%s)
	timeout -k 10 "$run_limit" "$HOLM" run --engine "$ENGINE" --kernel "${KERNEL:-$GUEST/vmlinuz}" \
		--initrd "$TMP/$run_name.img" --append "console=ttyS0 panic=-1 ${APPEND:-quiet}" \
		--device isa-debug-exit,iobase=0xf4 "$@" \
		>"$TMP/$run_name.out" 2>"$TMP/$run_name.err" </dev/null
	VM_RC=$?
	run_took=$(($(date +%s) - run_start))
	echo "# $run_name: status $VM_RC after $run_took s"
}

# guest_status NAME WANTED LABEL - the run ended with this status
guest_status() {
	if [ "$VM_RC" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3: status $VM_RC, not $2"
		tap_show "$TMP/$1.err"
		tap_show "$TMP/$1.out"
	fi
}

# guest_results NAME PREFIX TEST... - the guest reported each of these as good
guest_results() {
	results_name=$1
	results_prefix=$2
	results_missing=
	shift 2
	for want in "$@"; do
		if tr -d '\r' <"$TMP/$results_name.out" | grep -q "T ok $want\$"; then
			ok "$results_prefix: $want"
		else
			not_ok "$results_prefix: $want"
			results_missing=1
			tr -d '\r' <"$TMP/$results_name.out" | grep "T bad $want:" | sed 's/^/#   /'
		fi
	done
	[ -z "$results_missing" ] || tap_show "$TMP/$results_name.out"
}

# free_port - a TCP port of the host that nothing listens on now
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for SECONDS CMD... - until CMD succeeds
wait_for() {
	wait_left=$1
	shift
	while ! "$@" >/dev/null 2>&1; do
		wait_left=$((wait_left - 1))
		[ $wait_left -gt 0 ] || return 1
		sleep 1
	done
}

# boots CPUS MEMORY MIN_KIB MAX_KIB SECONDS - stock kernel and initramfs; counts what the guest sees
boots() {
	guest_script boot <<-END
		t cpus [ "\$(nproc)" = $1 ]
		kib=\$(awk '/MemTotal/ {print \$2}' /proc/meminfo)
		t memory [ "\$kib" -ge $3 -a "\$kib" -le $4 ]
		t clock [ "\$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" != jiffies ]
		t sleep sh -c 'a=\$(cut -d. -f1 /proc/uptime); sleep 2; b=\$(cut -d. -f1 /proc/uptime); [ \$((b - a)) -ge 1 ] && [ \$((b - a)) -le 8 ]'
		t quiet kernel_content
		for c in /sys/devices/system/cpu/cpu[0-9]*; do
			n=\${c##*cpu}
			t "cpu \$n works" taskset \$((1 << n)) sh -c 'echo 7 | sha256sum | grep -q ^10159baf262b43a92d95db59dae1f72c645127301661e0a3ce4e38b295a97c58'
		done
	END
	guest_run boot "$5" --cpus "$1" --memory "$2" --net none
	guest_status boot 33 "$ENGINE, $1 vCPU, $2: boots and ends with the command's status"
	set -- "$1" "$2" cpus memory clock sleep quiet "cpu 0 works"
	[ "$1" = 1 ] || set -- "$@" "cpu 1 works"
	boots_label="$ENGINE, $1 vCPU, $2"
	shift 2
	guest_results boot "$boots_label" "$@"
}

# payload MODE FILE - builds the payload of tests/guest/payload.S for one mode
payload() {
	gcc -m32 -nostdlib -static -no-pie -DMODE_"$1" -DS5_TYPE="${S5_TYPE:-5}" \
		-Wl,-N,-Ttext=0x100000,--build-id=none,-e,_start,--no-warn-rwx-segments \
		"$TOP/tests/guest/payload.S" -o "$2"
}
