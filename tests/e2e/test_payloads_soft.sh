#!/bin/sh
# SPDX-License-Identifier: MIT
# Payloads without a kernel on the software engine.
# timeout: 240
# cost: 30
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=soft
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/e2e/payloads.sh"
tap_done
