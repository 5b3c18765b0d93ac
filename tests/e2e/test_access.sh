# SPDX-License-Identifier: MIT
# A system-wide holmd: what other users of the host, and peers over TLS, can get at.
# timeout: 120
# cost: 15
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

if [ "$(id -u)" != 0 ]; then
	skip "what other users can get at" "only root can become other users"
	tap_done
fi
if ! command -v openssl >/dev/null; then
	skip "what other users can get at" "there is no openssl here to make certificates"
	tap_done
fi
tap_program access.py python3 -B "$TOP/tests/e2e/access.py" "$TMP"
tap_done
