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
if python3 -B "$TOP/tests/e2e/access.py" "$TMP" >"$TMP/out" 2>"$TMP/err"; then
	access_status=0
else
	access_status=1
fi
# Its lines are this test's; TAP numbers them.
while IFS= read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	"not ok - "*) not_ok "${line#not ok - }" ;;
	*) echo "$line" ;;
	esac
done <"$TMP/out"
if [ $access_status != 0 ] && [ "$TAP_BAD" = 0 ]; then
	not_ok "access.py came to its end"
fi
[ $access_status = 0 ] || tap_show "$TMP/err"
tap_done
