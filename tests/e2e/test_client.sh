#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line as a client, against a manager that is none (fake_holmd.py): each command
# sends exactly the request that it should, errors come out as they should, and bytes are whole.
# timeout: 180
# cost: 20
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"
HOLM=${HOLM:-$TOP/build/bin/holm}
HOLM=$(readlink -f "$HOLM")
unset HOLM_HOST HOLM_TOKEN XDG_STATE_HOME
HOLM_SOCKET=$TMP/sock
export HOLM_SOCKET

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$TMP/key" -out "$TMP/cert" 2>/dev/null
python3 -B "$TOP/tests/e2e/fake_holmd.py" "$TMP/sock" "$TMP/record" "$port" "$TMP/cert" \
	"$TMP/key" &
fake=$!
trap 'kill $fake 2>/dev/null; tap_clean' EXIT
tries=100
while [ ! -S "$TMP/sock" ] && [ $tries -gt 0 ]; do
	sleep 0.1
	tries=$((tries - 1))
done
mkdir "$TMP/work"
cd "$TMP/work" || exit 1

# sends STATUS REQUESTS WORD... - holm WORD... ends with STATUS and sends these lines
sends() {
	sends_status=$1
	printf '%s\n' "$2" | sed '/^$/d; s|@CWD|'"$TMP/work"'|g' >"$TMP/want"
	shift 2
	sends_name=$(echo "client: holm $*" | sed "s|$TMP|TMP|g; s|:$port|:PORT|g")
	: >"$TMP/record"
	timeout 20 "$HOLM" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	sends_rc=$?
	sed 's/vm-[0-9a-f]\{8\}/vm-RANDOM/g' "$TMP/record" >"$TMP/got"
	if [ $sends_rc = "$sends_status" ] && cmp -s "$TMP/want" "$TMP/got"; then
		ok "$sends_name"
	else
		not_ok "$sends_name: status $sends_rc, not $sends_status"
		diff "$TMP/want" "$TMP/got" >"$TMP/diff"
		tap_show "$TMP/diff"
		tap_show "$TMP/err"
	fi
}

OP='GET /v1/operations/op1?wait_ms=30000'
POST='POST /v1/vms'
sends 0 "$POST"' {"config": {"cpus": 2, "kernel": "@CWD/vm"}, "name": "web"}' \
	create web --kernel vm --cpus 2
sends 0 "$POST"' {"autostart": true, "config": {"kernel": "/k"}, "name": "web", "policy": "mixed", "priority": -2, "project": "dev", "resources": {"cpu": {"limit": 1500, "reservation": 250, "shares": 300}, "io": {"limit": 10485760}, "memory": {"reservation": 67108864}, "net": {"shares": 5}}, "restart": "always"}
POST /v1/vms/web/start
'"$OP" create --name web --kernel /k --project dev --autostart --restart always --priority -2 \
	--policy mixed --cpu-shares 300 --cpu-limit 1.5 --cpu-reservation 0.25 \
	--memory-reservation 64M --io-limit 10M --net-shares 5 --start
check "client: create prints the name" grep -qx web "$TMP/out"
printf '{"kernel": "/k", "disks": ["d,readonly"], "memory": "64M"}' >vm.json
sends 0 "$POST"' {"config": {"disks": [{"path": "@CWD/d", "readonly": true}], "forwards": ["127.0.0.1:80:80"], "kernel": "/k", "memory": 67108864, "serial": "file:@CWD/s"}, "name": "vm-RANDOM"}' \
	create --config vm.json -p 80:80 --serial file:s
sends 0 "$POST"' {"config": {"kernel": "/k"}, "name": "vm-RANDOM"}
POST /v1/vms/vm-RANDOM/start
'"$OP" run -d --kernel /k
check "client: run -d prints the name it made" grep -qx 'vm-[0-9a-f]*' "$TMP/out"
sends 33 "$POST"' {"config": {"kernel": "/k"}, "job": {"burst_ms": 30000}, "name": "job"}
POST /v1/vms/job/start
GET /v1/vms/job/wait?state=ended&timeout_ms=60000
GET /v1/vms/job/wait?state=ended&timeout_ms=60000' run --job --burst 30s --kernel /k --name job
sends 10 "$POST"' {"config": {"kernel": "/k"}, "name": "broken"}
POST /v1/vms/broken/start
GET /v1/operations/broken?wait_ms=30000' create broken --kernel /k --start
check "client: a failed start says that the VM is made" \
	grep -qx "holm: the VM 'broken' is made, but does not start: out of memory" "$TMP/err"

for verb in start pause resume suspend restore shutdown reboot reset kill; do
	sends 0 "POST /v1/vms/web/$verb
$OP" $verb web
done
sends 0 "POST /v1/vms/web/undelete
$OP" undelete web
sends 0 "POST /v1/vms/web/purge
$OP" purge web
sends 0 "POST /v1/vms/a/start
POST /v1/vms/b/start" start a b --no-wait
sends 0 "POST /v1/vms/web/start {\"paused\": true}
$OP" start web --paused
sends 0 "POST /v1/vms/web/shutdown {\"timeout_ms\": 5000}
$OP" stop web --timeout 5s
sends 0 "POST /v1/vms/web/kill
$OP" stop -f web
sends 0 "POST /v1/vms/web/reboot
$OP" restart web
sends 6 "POST /v1/vms/busy/start
POST /v1/vms/missing/start
POST /v1/vms/web/start
$OP" start busy missing web
check "client: each failure of several is reported" [ "$(grep -c ^holm: "$TMP/err")" = 2 ]
sends 0 'DELETE /v1/vms/web' rm web
sends 0 "POST /v1/vms/web/kill
$OP
DELETE /v1/vms/web?purge=true" rm --force --purge web
sends 0 'GET /v1/vms/web
PATCH /v1/vms/web If-Match: "7" {"name": "new"}' rename web new
sends 0 'GET /v1/vms/web
PATCH /v1/vms/web If-Match: "7" {"autostart": false}' autostart web off
sends 0 'GET /v1/vms/web
PATCH /v1/vms/web If-Match: "7" {"autostart": true, "config": {"cpus": 4, "memory": 1073741824}, "resources": {"cpu": {"shares": 200}}}' \
	set web cpus=4 memory=1G cpu_shares=200 --autostart on
sends 6 'GET /v1/vms/changed
PATCH /v1/vms/changed If-Match: "7" {"priority": 1}' set changed priority=1
sends 0 'GET /v1/vms/web/wait?state=ended&timeout_ms=60000' wait web
check "client: wait prints the state" grep -qx stopped "$TMP/out"
sends 6 'GET /v1/vms/never/wait?state=running&timeout_ms=0' wait never --state running --timeout 0s

sends 0 'GET /v1/vms?view=brief' ls
check "client: deleted VMs are not listed" sh -c "! grep -q ^old '$TMP/out'"
check "client: no control character is printed" sh -c "! grep -q '[[:cntrl:]]' '$TMP/out'"
check "client: columns stand below their titles" \
	grep -qx 'web           running     2    512M  soft    [0-9a-z]*  *default' "$TMP/out"
sends 0 'GET /v1/vms?deleted=true&view=brief' ls -aq
check "client: ls -aq" grep -qx old "$TMP/out"
sends 0 'GET /v1/vms?project=dev&state=running&view=brief' ls --project dev --state running
sends 0 'GET /v1/vms' ls --format csv --no-header --filter state=running
check "client: CSV with a filter" \
	grep -qx 'web,running,2,536870912,soft,2020-01-01T00:00:00.000Z,default' "$TMP/out"
sends 0 'GET /v1/vms' ls --format json
check "client: JSON can be read" python3 -c "import json; assert len(json.load(open('$TMP/out'))) == 2"
check "client: JSON has no control character" sh -c "! tr -d '\n' <'$TMP/out' | grep -q '[[:cntrl:]]'"
sends 0 'GET /v1/vms/web
GET /v1/vms/x%2Fy' info web x/y
check "client: info is readable" grep -qx '  memory: 512M' "$TMP/out"
sends 0 'GET /v1/vms/web' info web --format json
sends 0 'GET /v1/vms/web/log' logs web
check "client: a log is whole in a file" sh -c "printf 'line one\r\n\033[31mred \303\251\377\n' | cmp -s - '$TMP/out'"
sends 0 'GET /v1/vms/web/log?follow=true' logs -f web
sends 0 'GET /v1/vms
GET /v1/vms/web/stats' stats
sends 0 'GET /v1/vms/web/stats' stats web --format csv --no-header
sends 0 'GET /v1/vms
GET /v1/vms/web/stats
GET /v1/vms
GET /v1/vms/web/stats' top --count 2 --interval 100ms
sends 0 'GET /v1/events?since=0' events
check "client: events are lines" grep -qx 'T1 vm.state vm/web seq=1 state=running reason="by a"' "$TMP/out"
check "client: without control characters" sh -c "! grep -q '[[:cntrl:]]' '$TMP/out'"
: >"$TMP/record"
timeout 3 "$HOLM" events -f >"$TMP/out" 2>&1 </dev/null
check "client: events -f connects again from the last one" \
	sh -c "[ \"\$(head -n 2 '$TMP/record' | tr '\n' ' ')\" = 'GET /v1/events GET /v1/events?since=3 ' ]"

sends 0 'POST /v1/networks {"autostart": true, "dhcp": true, "forwards": ["80:web:80", "53:web:53/udp"], "kind": "nat", "name": "lan", "subnet": "10.1.0.0/24"}' \
	net create lan --kind nat --subnet 10.1.0.0/24 --dhcp on --autostart -p 80:web:80 \
	-p 53:web:53/udp
sends 0 'GET /v1/networks' net ls
sends 0 'GET /v1/networks/lan' net info lan
sends 0 'GET /v1/networks/lan
PATCH /v1/networks/lan If-Match: "7" {"dhcp": false}' net set lan dhcp=off
sends 0 "POST /v1/networks/lan/start
$OP" net start lan
sends 0 "POST /v1/networks/lan/stop
$OP" net stop lan
sends 0 'GET /v1/networks/lan
PATCH /v1/networks/lan If-Match: "7" {"autostart": true}' net autostart lan on
sends 0 'GET /v1/networks/lan/leases' net leases lan
check "client: leases" grep -q '52:54:00:00:00:01  10.1.0.2  *yes' "$TMP/out"
sends 0 'DELETE /v1/networks/lan' net rm lan

sends 0 'POST /v1/volumes {"name": "data", "pool": "main", "project": "dev", "size": 10737418240}' \
	volume create data --size 10G --pool main --project dev
sends 0 'GET /v1/volumes?project=dev' volume ls --project dev
sends 0 'GET /v1/volumes/data' volume info data
sends 0 'GET /v1/volumes/data
PATCH /v1/volumes/data If-Match: "7" {"size": 21474836480}' volume resize data 20G
sends 0 'POST /v1/volumes {"clone_of": "data", "name": "copy"}' volume clone data copy
sends 0 'DELETE /v1/volumes/data' volume rm data
sends 0 'POST /v1/pools {"name": "main", "path": "/srv"}' pool create main --path /srv
sends 0 'GET /v1/pools' pool ls
sends 0 'GET /v1/pools/main' pool info main
sends 0 'DELETE /v1/pools/main' pool rm main
sends 0 'POST /v1/projects {"name": "dev", "parent": "all", "quota": {"cpus": 8, "memory": 1073741824, "vms": 4}, "resources": {"cpu": {"limit": 4000}}}' \
	project create dev --parent all --quota-vms 4 --quota-cpus 8 --quota-memory 1G --cpu-limit 4
sends 0 'GET /v1/projects' project ls
sends 0 'GET /v1/projects/dev' project info dev
sends 0 'GET /v1/projects/dev
PATCH /v1/projects/dev If-Match: "7" {"quota": {"vms": 9}}' project set dev quota-vms=9
sends 0 'DELETE /v1/projects/dev' project rm dev
sends 0 'POST /v1/projects/dev/grants {"role": "operator", "user": "ann"}' \
	project grant dev ann operator
sends 0 'POST /v1/projects/%2A/grants {"role": "none", "user": "ann"}' project revoke '*' ann
sends 0 'POST /v1/users {"name": "ann", "uid": 1000}' user add ann --uid 1000
sends 0 'POST /v1/users {"name": "bot", "token": true}' user add bot --token
check "client: a new token is printed" grep -qx s3cret "$TMP/out"
sends 0 'GET /v1/users' user ls
sends 0 'DELETE /v1/users/ann' user rm ann
sends 0 'GET /v1/sched/queue' sched queue
sends 0 'GET /v1/host' system info
sends 0 'GET /v1/operations' system operations
sends 0 'DELETE /v1/operations/op1' system cancel op1
sends 0 'GET /v1/audit?since=0
GET /v1/audit?since=1' system audit
check "client: audit" grep -q 'root  unix  vm.start  vm/web  ok' "$TMP/out"
sends 0 'GET /v1/audit/verify' system audit verify
sends 0 'GET /v1/openapi.json' system openapi

# Bytes up and down.
head -c 3000000 /dev/urandom >bytes
sum=$(sha256sum bytes | cut -c 1-8)
sends 0 "PUT /v1/volumes/data/data 3000000 bytes $sum" volume upload data bytes
check "client: progress is lines where there is no terminal" grep -qx 'upload data: 100 %' "$TMP/err"
sends 10 'PUT /v1/volumes/forbidden/data refused before its body' volume upload forbidden bytes
check "client: a refused upload says why" grep -qx 'holm: a viewer may not start VMs' "$TMP/err"
sends 4 '' volume upload data no-such-file
sends 4 '' volume upload data .
sends 0 'GET /v1/volumes/data
GET /v1/volumes/data/data' volume download data back
check "client: the same bytes come back" cmp bytes back
sends 6 '' volume download data back
echo other >back
sends 0 'GET /v1/volumes/data
GET /v1/volumes/data/data' volume download data back --force
check "client: --force replaces the file" cmp bytes back
: >"$TMP/record"
check "client: upload from a pipe" sh -c "cat bytes | '$HOLM' volume upload data -"
check "client: its bytes are whole" grep -qx "PUT /v1/volumes/data/data 3000000 bytes $sum" "$TMP/record"
check "client: download to a pipe" sh -c "'$HOLM' volume download data - | cmp bytes -"
sends 4 'GET /v1/volumes/missing' volume download missing gone
check "client: a failed download leaves nothing" sh -c '! ls gone* 2>/dev/null'

# refuses CODE WORD... - a problem of the manager's: this exit code, its sentence, one line
refuses() {
	refuses_name=$1
	refuses_code=$2
	refuses_text=$3
	timeout 20 "$HOLM" start "$refuses_name" >"$TMP/out" 2>"$TMP/err" </dev/null
	refuses_rc=$?
	if [ $refuses_rc = "$refuses_code" ] && [ "$(cat "$TMP/err")" = "holm: $refuses_text" ]; then
		ok "client: problem '$refuses_name'"
	else
		not_ok "client: problem '$refuses_name': status $refuses_rc, not $refuses_code"
		tap_show "$TMP/err"
	fi
}
refuses malformed 2 "unknown field 'colour'"
refuses stranger 10 'nobody knows you'
refuses forbidden 10 'a viewer may not start VMs'
refuses missing 4 "there is no VM 'missing'"
refuses taken 6 "the name 'taken' is in use"
refuses busy 6 "VM 'busy' is paused, which does not allow start"
refuses greedy 10 "the quota of project 'default' is 4 VMs"
refuses hasty 6 'more than 100 requests a second'
refuses buggy 12 'the host failed'
refuses full 10 'the disk is full'
refuses evil 6 "red $(printf '\357\277\275')[31m and $(printf '\357\277\275') back"

# What is wrong here is found before anything is sent.
sends 2 '' create web
sends 2 '' create a --name b --kernel /k
sends 2 '' create 'bad name' --kernel /k
sends 2 '' create web --kernel /k --cpu-limit much
sends 2 '' run --job --kernel /k
sends 2 '' run --kernel /k --priority 3
sends 2 '' run -d --kernel /k --dry-run
sends 2 '' set web
sends 2 '' set web colour=red
sends 2 '' start
sends 2 '' rename web
sends 2 '' ls extra
sends 2 '' ls --format xml
sends 2 '' net
sends 2 '' net fly
sends 2 '' wait web --timeout soon
sends 2 '' ls --host http://example.org
check "client: an unknown verb of a noun is named" sh -c \
	"'$HOLM' net fly 2>&1 | grep -qx \"holm: unknown command 'net fly'; see 'holm help net'\""
check "client: help of a noun" sh -c "'$HOLM' help net | grep -q 'net create'"

# Completions ask the manager, quietly.
: >"$TMP/record"
"$HOLM" completion bash >"$TMP/completion"
words=$(PATH=$(dirname "$HOLM"):$PATH bash -c '. "$1"; COMP_WORDS=(holm start w); COMP_CWORD=2
	_holm; echo "${COMPREPLY[*]}"' bash "$TMP/completion")
check "client: bash completes names of VMs" [ "$words" = web ]
words=$(PATH=$(dirname "$HOLM"):$PATH bash -c '. "$1"; COMP_WORDS=(holm create --project d)
	COMP_CWORD=3; _holm; echo "${COMPREPLY[*]}"' bash "$TMP/completion")
check "client: and of projects behind an option" [ "$words" = default ]
check "client: names that a shell could take for more are left out" \
	[ "$("$HOLM" __names vm | tr '\n' ' ')" = "web " ]
check "client: without a manager there are no names and no word" \
	sh -c "[ -z \"\$(HOLM_SOCKET=$TMP/none '$HOLM' __names vm 2>&1)\" ]"

# The console without a terminal: a pipe.
(
	printf 'abc'
	sleep 1
	printf '!'
) | timeout 20 "$HOLM" console web >"$TMP/out" 2>"$TMP/err"
check "client: a console on a pipe" sh -c "[ \"\$(tr -d '\r\n' <'$TMP/out')\" = 'last lines<abc>' ]"
(
	echo hangup
	sleep 1
) | timeout 20 "$HOLM" console web >"$TMP/out" 2>"$TMP/err"
check "client: a console whose manager goes away is an error" \
	grep -qx 'holm: the connection to the manager broke' "$TMP/err"
sends 12 'GET /v1/console?vm=liar' console liar
sends 4 'GET /v1/console?vm=missing' console missing
check "client: a console that is refused says why" grep -qx "holm: there is no VM 'missing'" "$TMP/err"

# The same over TLS, with a token.
HOLM_TOKEN=t0ken
export HOLM_TOKEN
AUTH='Authorization: Bearer t0ken'
sends 0 "GET /v1/vms?view=brief $AUTH" ls --host "https://127.0.0.1:$port" --cacert "$TMP/cert"
sends 0 "POST /v1/vms $AUTH "'{"config": {"kernel": "vm"}, "name": "web"}' \
	create web --kernel vm --host "https://127.0.0.1:$port/" --cacert "$TMP/cert"
sends 10 '' ls --host "https://127.0.0.1:$port"
check "client: a manager that is not trusted is not talked to" \
	grep -q "no trusted connection to https://127.0.0.1:$port" "$TMP/err"
sends 0 "PUT /v1/volumes/data/data $AUTH 3000000 bytes $sum" \
	volume upload data bytes --host "https://127.0.0.1:$port" --cacert "$TMP/cert"
: >"$TMP/record"
(
	printf 'abc'
	sleep 1
	printf '!'
) | HOLM_HOST="https://127.0.0.1:$port" timeout 20 "$HOLM" console web --cacert "$TMP/cert" \
	>"$TMP/out" 2>"$TMP/err"
check "client: a console over TLS" sh -c "[ \"\$(tr -d '\r\n' <'$TMP/out')\" = 'last lines<abc>' ]"
check "client: which shows the token" grep -qx "GET /v1/console?vm=web $AUTH" "$TMP/record"
unset HOLM_TOKEN
: >"$TMP/record"
check "client: a token is not sent on a socket" sh -c \
	"HOLM_TOKEN=x '$HOLM' ls && ! grep -q Authorization '$TMP/record'"
(
	timeout 5 "$HOLM" events -f
	echo $? >"$TMP/status"
) 2>/dev/null | head -n 1 >/dev/null
check "client: events -f end with who reads them" [ "$(cat "$TMP/status")" != 124 ]

# And on a terminal.
python3 -B "$TOP/tests/e2e/client_tty.py" "$HOLM" >"$TMP/tty.out" 2>&1
tty_rc=$?
while read -r word rest; do
	case $word in
	PASS) ok "client: $rest" ;;
	FAIL) not_ok "client: $rest" ;;
	*) echo "# $word $rest" ;;
	esac
done <"$TMP/tty.out"
check "client: the terminal's driver ran to its end" [ $tty_rc = 0 ]
kill $fake
wait $fake 2>/dev/null

# Nobody there.
sends 10 '' ls
check "client: and said" grep -q "no manager listens on $TMP/sock" "$TMP/err"
sends 10 '' ls --host https://127.0.0.1:1

# The user's own manager is started on demand. Its stand-in is beside a copy of holm.
mkdir "$TMP/bin" "$TMP/run" "$TMP/home"
cp "$HOLM" "$TMP/bin/holm"
unset HOLM_SOCKET
if [ -w /run/holm/holmd.sock ]; then
	skip "client: starts a manager on demand" "the system's manager runs here"
	tap_done
fi
cat >"$TMP/bin/holmd" <<-END
	#!/bin/sh
	[ "\$*" = "--user --socket $TMP/run/holm/holmd.sock" ] || exit 1
	echo \$\$ >"$TMP/holmd.pid"
	sleep 0.5
	exec python3 -B "$TOP/tests/e2e/fake_holmd.py" "$TMP/run/holm/holmd.sock" "$TMP/record"
END
chmod +x "$TMP/bin/holmd"
own() {
	timeout 30 env HOME="$TMP/home" XDG_RUNTIME_DIR="$TMP/run" "$TMP/bin/holm" "$@"
}
check "client: __names starts no manager" sh -c "! test -e '$TMP/holmd.pid'"
own __names vm
check "client: not even where it could" sh -c "! test -e '$TMP/holmd.pid'"
check "client: starts the user's manager on demand" own ls
pid=$(cat "$TMP/holmd.pid")
check "client: which goes on" kill -0 "$pid"
check "client: and is used again" own ls
check "client: by the same process" [ "$(cat "$TMP/holmd.pid")" = "$pid" ]
kill "$pid"
rm -f "$TMP/run/holm/holmd.sock"
printf '#!/bin/sh\necho no disk >&2\nexit 3\n' >"$TMP/bin/holmd"
own ls >"$TMP/out" 2>"$TMP/err"
check "client: a manager that ends at once is an error" [ $? = 10 ]
check "client: whose sentence names the log" \
	grep -qx "holm: the manager ended while it was starting; its log is $TMP/home/.local/state/holm/holmd.log" "$TMP/err"
check "client: in which its words are" grep -qx 'no disk' "$TMP/home/.local/state/holm/holmd.log"
# The real one, and no runtime directory.
if [ -x "${HOLM%/*}/holmd" ]; then
	cp "${HOLM%/*}/holmd" "${HOLM%/*}/holm-vmm" "$TMP/bin/"
	check "client: starts holmd where there is no runtime directory" \
		timeout 30 env -u XDG_RUNTIME_DIR HOME="$TMP/h" "$TMP/bin/holm" ls
	check "client: also with another place for its records" timeout 30 env -u XDG_RUNTIME_DIR \
		HOME="$TMP/h2" XDG_STATE_HOME="$TMP/s2" "$TMP/bin/holm" ls
	for folder in "$TMP/h/.local/state/holm" "$TMP/h2/.local/state/holm"; do
		kill "$(python3 -c 'import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])' \
			"$folder/holmd.sock")"
	done
fi
rm "$TMP/bin/holmd"
own ls >"$TMP/out" 2>"$TMP/err"
check "client: no holmd beside holm" grep -q 'there is no holmd beside holm' "$TMP/err"
tap_done
