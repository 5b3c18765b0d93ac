#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest builds Holm's own unit tests with gcc and runs them: Debian on the software engine, two
# vCPUs, the tracked sources as they are in the working tree, all targets of tests/unit.
#
# UNITS='NAME...' builds and runs only these, by meson's names, to narrow a fault down; ENGINE
# names another engine. The guest says what each step takes.
# long
# alone
# timeout: 3600
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/systemd.sh"

# Which tests there are says the host's build, so that one that the guest forgets is missed.
units=${UNITS:-$(meson test -C "$TOP/build" --suite unit --list 2>/dev/null |
	sed -n 's,^holm:unit / ,,p' | tr '\n' ' ')}
count=$(echo "$units" | wc -w)
check "the host's build names unit tests" [ "$count" -gt 0 ]

# The second disk: the sources, the one module that a unit test asks for, and what turns meson's log
# into lines for the host.
mkdir -p "$TMP/src/holm"
(cd "$TOP" && git ls-files -z | tar -c --null -T - -f -) | tar -x -C "$TMP/src/holm"
cp "$GUEST"/tree/lib/modules/*/kernel/drivers/net/tun.ko "$TMP/src/"
cat >"$TMP/src/results.py" <<'END'
import json
for line in open("/src/holm/out/meson-logs/testlog.json", encoding="utf-8"):
    test = json.loads(line)
    name = test["name"].split(" / ")[-1]
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    if test["result"] == "OK":
        skipped = len(set(l for l in text.splitlines() if l.startswith("[  SKIPPED ]")))
        print(f"T ok unit/{name}")
        print(f"I {name}: {test['duration']:.1f} s" + (f", skips {skipped}" if skipped else ""))
    else:
        print("\n".join(text.splitlines()[-30:]))
        print(f"T bad unit/{name}: {test['result']}")
END
truncate -s 2G "$TMP/src.ext4"
check "the disk with the sources is made" /sbin/mke2fs -q -F -t ext4 -E root_owner=0:0 \
	-d "$TMP/src" "$TMP/src.ext4"

systemd_root build <<END
echo
step() {
	name=\$1
	shift
	began=\$(date +%s)
	if "\$@" >/tmp/step.log 2>&1 </dev/null; then
		echo "T ok \$name"
	else
		tail -n 30 /tmp/step.log
		echo "T bad \$name"
	fi
	echo "I \$name: \$((\$(date +%s) - began)) s"
}
only='${UNITS:-}'
mkdir /src
mount /dev/vdb /src
insmod /src/tun.ko
cd /src/holm
step configured meson setup out --buildtype=plain -Doptimization=0 -Ddebug=false
targets=\$(ninja -C out -t targets all | sed -n 's,^\\(tests/unit/unit-[^/:]*\\):.*,\\1,p')
[ -z "\$only" ] || targets=\$(for u in \$only; do echo "\$targets" | grep "^tests/unit/unit-\$u\\$"; done)
step built ninja -C out src/holm \$targets
echo "I programs: \$(ls -d out/tests/unit/unit-* | grep -vc '\\.p\$'), objects: \$(find out -name '*.o' | wc -l)"
step "meson test" meson test -C out --no-rebuild --suite unit --timeout-multiplier 10 --num-processes 2 \$only
python3 /src/results.py
t "kernel is content" kernel_content
systemctl poweroff
END
APPEND="quiet holm.root=/dev/vda" guest_run systemd 2400 --cpus "${CPUS:-2}" --memory 2G --net none \
	--disk "$TMP/root.ext4" --disk "$TMP/src.ext4"
label="$ENGINE, built inside"
tr -d '\r' <"$TMP/systemd.out" | sed -n 's/^I /# /p'
guest_status systemd 0 "$label: clean power-off"
guest_results systemd "$label" configured built "meson test" "kernel is content"
# A line for each, as a failing test is to be named.
before=$TAP_BAD
# shellcheck disable=SC2046
guest_results systemd "$label" $(for u in $units; do echo "unit/$u"; done)
check "$label: $((count - TAP_BAD + before)) of $count unit tests pass" [ "$TAP_BAD" = "$before" ]
for disk in root src; do
	check "$label: the $disk file system is clean" /sbin/e2fsck -fn "$TMP/$disk.ext4"
done
tap_done
