#!/bin/sh
# SPDX-License-Identifier: MIT
# The same kernel as an ELF file by its PVH entry, and a reboot that ends the VM.
# timeout: 900
# cost: 110
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
guest_script pvh <<'END'
t "pvh boots" [ "$(nproc)" = 1 ]
t "acpi tables" [ -e /sys/firmware/acpi/tables/DSDT -a -e /sys/firmware/acpi/tables/APIC -a -e /sys/firmware/acpi/tables/MCFG ]
t "acpi has no complaint" sh -c '! dmesg | grep -E "ACPI (BIOS )?(Error|Exception|Warning)"'
END
KERNEL=$GUEST/vmlinux APPEND='quiet holm.reboot' guest_run pvh 850 --net none --on-reboot exit
guest_status pvh 18 "$ENGINE, PVH: a reboot ends with 18 where it is asked for"
guest_results pvh "$ENGINE, PVH" "pvh boots" "acpi tables" "acpi has no complaint"
tap_done
