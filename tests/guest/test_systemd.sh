#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian with systemd on the software engine.
# timeout: 1200
# cost: 150
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/systemd.sh"
systemd_guest 900 2
tap_done
