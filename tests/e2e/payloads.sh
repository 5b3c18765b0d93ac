# SPDX-License-Identifier: MIT
# How a VM ends, seen from outside: exit codes for each way, on payloads without a kernel.
# Sourced after tests/guest/lib.sh; $ENGINE says on which engine.
cd "$TMP" || exit 1

# ends NAME CODE PAYLOAD OPTION...
ends() {
	ends_name=$1
	ends_code=$2
	payload "$3" "$3.elf"
	ends_file=$3.elf
	shift 3
	# shellcheck disable=SC2086
	timeout 30 "$HOLM" run ${RUN_OPTIONS:-} --engine "$ENGINE" --net none --memory 64M --kernel "$ends_file" "$@" \
		>out 2>err </dev/null
	ends_rc=$?
	if [ $ends_rc = "$ends_code" ]; then
		ok "$ENGINE: $ends_name"
	else
		not_ok "$ENGINE: $ends_name: status $ends_rc, not $ends_code"
		tap_show err
	fi
}

D="--device isa-debug-exit,iobase=0xf4"
# shellcheck disable=SC2086
{
	ends "the debug-exit port gives (V << 1) | 1" 85 exit $D
	ends "the same with 2 vCPUs" 85 exit $D --cpus 2
	ends "the same with 5 GiB" 85 exit $D --memory 5G
	# A KVM that only emulates gives up at the fault's first instruction instead.
	if [ "$ENGINE" = kvm ] && "$HOLM" doctor | grep -q "only emulates"; then
		ends "triple fault, where KVM only emulates" 12 triple
	else
		ends "triple fault" 16 triple
	fi
	ends "power-off by ACPI S5" 0 poweroff
	ends "reset by the keyboard controller" 18 kbd --on-reboot exit
	ends "reset by the reset register" 18 cf9 --on-reboot exit
	ends "a line on the serial port" 85 hello $D
	check "$ENGINE: the line is there" grep -q 'hello from the guest' out
	ends "serial port to a file" 85 hello $D --serial file:serial
	check "$ENGINE: the line is in the file" grep -q 'hello from the guest' serial
	ends "writes to nearly all ports" 85 storm $D
	ends "dry run ends at once" 0 halt --dry-run
	ends "metrics are JSON" 85 exit $D --metrics metrics
	check "$ENGINE: metrics can be read" python3 -c 'import json; assert json.load(open("metrics"))'
	payload halt halt.elf
	timeout 5 "$HOLM" run ${RUN_OPTIONS:-} --engine "$ENGINE" --net none --memory 64M --kernel halt.elf $D \
		>out 2>err </dev/null
	check "$ENGINE: a halted guest stays until it is ended" [ $? = 124 ]
	payload spin spin.elf
	"$HOLM" run ${RUN_OPTIONS:-} --engine "$ENGINE" --net none --memory 64M --kernel spin.elf >out 2>err </dev/null &
	vm=$!
	sleep 1
	check "$ENGINE: a spinning guest runs" kill -0 $vm
	kill -TERM $vm
	sleep 1
	kill -TERM $vm
	wait_for 8 sh -c "! kill -0 $vm"
	kill -KILL $vm 2>/dev/null
	wait $vm
	check "$ENGINE: the second SIGTERM ends it at once" [ $? = 20 ]
}
