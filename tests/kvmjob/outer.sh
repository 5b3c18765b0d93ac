# SPDX-License-Identifier: MIT
# A Linux machine with AMD-V, emulated by QEMU, to run the KVM engine in. Sourced after
# tests/guest/lib.sh.
#
# The outer machine is Debian's cloud kernel with the small initramfs and a second archive behind
# it: the KVM modules, holm and holm-vmm with the libraries they load, the inner guest's kernel
# and initramfs, and /cmd, whose "T ok" lines come back over the serial line.

OUTER_MODULES=${OUTER_MODULES:-kvm kvm-amd}

# with_libraries DIR FOLDER PROGRAM... - copies programs to FOLDER below DIR, and what they load to
# its own paths below DIR
with_libraries() {
	wl_root=$1
	wl_folder=$2
	shift 2
	mkdir -p "$wl_root/$wl_folder"
	for wl_program in "$@"; do
		cp "$wl_program" "$wl_root/$wl_folder/"
		ldd "$wl_program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[ \t]*\(\/[^ ]*\) .*/\1/p'
	done | sort -u | while read -r wl_file; do
		mkdir -p "$wl_root$(dirname "$wl_file")"
		[ -e "$wl_root$wl_file" ] || cp -L "$wl_file" "$wl_root$wl_file"
	done
}

# with_modules DIR - copies the modules of $OUTER_MODULES to DIR, and their names to DIR/order, each
# after what it depends on
with_modules() {
	mkdir -p "$1"
	tree_version=$(basename "$GUEST"/tree/lib/modules/*)
	for module in $OUTER_MODULES; do
		/sbin/modprobe -d "$GUEST/tree" -S "$tree_version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$TMP/modules"
	while read -r file; do
		cp "$file" "$1/"
		basename "$file" >>"$1/order"
	done <"$TMP/modules"
}

# outer_image NAME - $TMP/NAME.img: the job's machine; its command is standard input. What is in
# $TMP/NAME.d already is taken along.
outer_image() {
	dir=$TMP/$1.d
	mkdir -p "$dir/usr/bin"
	with_modules "$dir/job/modules"
	with_libraries "$dir" usr/bin "$TOP/build/bin/holm" "$TOP/build/bin/holm-vmm"
	cp "$GUEST/vmlinuz" "$GUEST/initramfs.img" "$dir/job/"
	{
		guest_functions
		cat <<-'END'
			export PATH=/usr/bin:$PATH
			while read -r module; do
				insmod "/job/modules/$module" 2>/dev/null
			done </job/modules/order
			# As udev leaves it: for root and one group.
			[ ! -c /dev/kvm ] || { chown 0:108 /dev/kvm && chmod 660 /dev/kvm; }
			mkdir -p /sys/fs/cgroup
			mount -t cgroup2 none /sys/fs/cgroup
		END
		cat
	} >"$dir/cmd"
	# Folders before what they hold, as find gives them.
	(cat "$GUEST/initramfs.img" && cd "$dir" && find . -mindepth 1 | sed 's,^\./,,' |
		cpio -o -H newc -R 0:0 --quiet) >"$TMP/$1.img"
	rm -rf "$dir"
}

# outer_python NAME - a Python with as much of its library as the programs of tests/guest load, to
# what the machine NAME takes along
outer_python() {
	python=/usr/bin/python3
	with_libraries "$TMP/$1.d" usr/bin $python
	$python -c 'import encodings.idna, fcntl, json, os, random, re, socket, struct, subprocess, sys
import tempfile, time
for m in list(sys.modules.values()):
    f = getattr(m, "__file__", None)
    if f and "/python3" in f:
        print(f)
import sysconfig
print(sysconfig.get_path("stdlib") + "/os.py")' | sort -u | while read -r file; do
		mkdir -p "$TMP/$1.d$(dirname "$file")"
		cp "$file" "$TMP/$1.d$file"
	done
}

# outer_wants LABEL - standard input names what "T ok" lines the machine "outer" must have printed
outer_wants() {
	while read -r want; do
		if tr -d '\r' <"$TMP/outer.out" | grep -q "^T ok $want\$"; then
			ok "$1: $want"
		else
			not_ok "$1: $want"
		fi
	done
}

# outer_run NAME SECONDS [OPTION...] - boots it with $OUTER_CPUS (2) CPUs, $OUTER_MEMORY (7168) MiB
# and further options of QEMU's; $OUTER_APPEND goes to the kernel. The console goes to
# $TMP/NAME.out, the status to $VM_RC
outer_run() {
	run_name=$1
	run_limit=$2
	shift 2
	run_start=$(date +%s)
	timeout -k 10 "$run_limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max \
		-smp "${OUTER_CPUS:-2}" -m "${OUTER_MEMORY:-7168}" \
		-nodefaults -nographic -no-reboot -serial stdio \
		-device isa-debug-exit,iobase=0xf4,iosize=0x04 \
		-kernel "$GUEST/vmlinuz" -initrd "$TMP/$run_name.img" \
		-append "console=ttyS0 panic=-1 quiet ${OUTER_APPEND:-}" "$@" \
		>"$TMP/$run_name.out" 2>"$TMP/$run_name.err" </dev/null
	VM_RC=$?
	echo "# $run_name: status $VM_RC after $(($(date +%s) - run_start)) s"
}
