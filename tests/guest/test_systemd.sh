#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian with systemd on the software engine.
# timeout: 3600
# cost: 1200
# long
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/systemd.sh"
systemd_guest 3400 2
tap_done
