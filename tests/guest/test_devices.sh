#!/bin/sh
# SPDX-License-Identifier: MIT
# Disks, network, port forwarding, entropy, balloon and power-off, seen from a Linux guest.
# timeout: 900
# cost: 150
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/devices.sh"
devices 4 720
cut_off
tap_done
