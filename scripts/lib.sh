# SPDX-License-Identifier: MIT
# What the scripts share. Sourced by each of them; POSIX shell.
#
# ROOT is the top of the tree. All output of tools goes to build/log/, so that a script's own
# lines stay readable; where a step fails, the end of its log is shown.

ROOT=$(cd "$(dirname "$0")/.." && pwd)
while [ ! -e "$ROOT/meson_options.txt" ] && [ "$ROOT" != / ]; do
	ROOT=$(dirname "$ROOT")
done
BUILD=$ROOT/build
LOGS=$BUILD/log
GUEST=$BUILD/guest

# What compiling needs. libglib2.0-dev: slirp's pkg-config file requires glib's.
NEEDS_BUILD="gcc libc6-dev pkg-config meson ninja-build libzydis-dev liburing-dev libslirp-dev
	libglib2.0-dev libseccomp-dev libjansson-dev zlib1g-dev libcmocka-dev libsqlite3-dev libmicrohttpd-dev
	libwslay-dev libssl-dev libnftables-dev libcurl4-openssl-dev acpica-tools python3"
# What making a guest needs: its kernel is downloaded, not installed.
NEEDS_GUEST="busybox-static cpio gzip xz-utils kmod"
# What the checks and tests need beside those.
NEEDS_TEST="clang clang-tidy clang-format cppcheck binutils qemu-system-x86 qemu-utils
	mmdebstrap e2fsprogs libclang-rt-dev llvm curl iproute2 openssl prometheus
	dnsmasq-base nftables procps"

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# as_root CMD... - runs CMD as root: directly, or by sudo where this is an ordinary user
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this must install packages; become root or install sudo: $*"
	fi
}

# missing PKG... - prints those that are not installed
missing() {
	for p in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
		installed*) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

# log_run NAME CMD... - runs CMD with its output in build/log/NAME.log; shows the end if it fails
log_run() {
	log_name=$1
	shift
	mkdir -p "$LOGS"
	"$@" >"$LOGS/$log_name.log" 2>&1 </dev/null && return 0
	log_rc=$?
	tail -n 40 "$LOGS/$log_name.log" >&2
	say "failed; the whole log is $LOGS/$log_name.log" >&2
	return $log_rc
}

# apt_refresh - fetches the package lists once per script
apt_refresh() {
	[ -z "${APT_FRESH:-}" ] || return 0
	log_run apt-update as_root timeout 300 apt-get update -q || return 1
	APT_FRESH=1
}

# need PKG... - installs what is missing
need() {
	# shellcheck disable=SC2046
	set -- $(missing "$@")
	[ $# -gt 0 ] || return 0
	say "installing $*"
	apt_refresh || die "apt-get update failed; look at /etc/apt/sources.list and the network"
	log_run apt-install as_root env DEBIAN_FRONTEND=noninteractive timeout 900 \
		apt-get install -q -y --no-install-recommends "$@" ||
		die "apt-get install failed: $*"
}

# cores - how many jobs to run at once
cores() {
	nproc 2>/dev/null || echo 1
}
