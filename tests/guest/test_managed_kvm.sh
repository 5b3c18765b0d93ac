#!/bin/sh
# SPDX-License-Identifier: MIT
# A VM under a manager on the KVM engine: pause, the guest's clock, reset, the sandbox.
# timeout: 120
# cost: 10
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ENGINE=kvm
. "$TOP/tests/guest/lib.sh"
. "$TOP/tests/guest/managed.sh"
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	skip "kvm: managed" "no rights on /dev/kvm here"
	tap_done
fi
managed_payload
tap_done
