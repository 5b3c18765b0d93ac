#!/bin/sh
# SPDX-License-Identifier: MIT
# Payloads without a kernel on the KVM engine.
# timeout: 240
# cost: 30
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	skip "kvm: payloads" "no rights on /dev/kvm here; the KVM job runs the same on emulated AMD-V"
	tap_done
fi
. "$TOP/tests/e2e/payloads.sh"
tap_done
