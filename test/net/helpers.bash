# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# What the stories share. Each file has one lab of its own, so that several can run at a time;
# it is taken down whatever happens, and what a killed run has left is found by the next one.

bats_require_minimum_version 1.5.0

# shellcheck source=lab/common.sh
. "$BATS_TEST_DIRNAME/../../lab/common.sh"
# shellcheck source=lab/network.sh
. "$BATS_TEST_DIRNAME/../../lab/network.sh"
# shellcheck source=lab/servers.sh
. "$BATS_TEST_DIRNAME/../../lab/servers.sh"
# shellcheck source=lab/plimsoll.sh
. "$BATS_TEST_DIRNAME/../../lab/plimsoll.sh"
# shellcheck source=lab/wire.sh
. "$BATS_TEST_DIRNAME/../../lab/wire.sh"
[ -z "${LAB:-}" ] || lab_select "$LAB"

# ------------------------------------------------------------------- a file, a test

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
}

# No program of a test outlives it; what holds the lab together does.
teardown() {
	end_client_programs
}

teardown_file() {
	[ -z "${LAB:-}" ] || lab down
}

# open_lab [ARGUMENTS OF lab up...]: for setup_file.
open_lab() {
	[ "$(id -u)" -eq 0 ] || return 0
	close_deserted_labs
	export LAB=net$$
	lab_select "$LAB"
	lab up "$@"
}

close_deserted_labs() {
	local state name process

	for state in "$LAB_STATES"/net[0-9]*; do
		name=${state##*/}
		process=${name//[!0-9]/}
		[ ! -d "$state" ] || [ -d "/proc/$process" ] || lab down "name=$name"
	done
}

end_client_programs() {
	local machine pid

	for machine in $(machines c); do
		for pid in $(ip netns pids "$(namespace "$machine")"); do
			kill "$pid" 2>/dev/null || true
		done
	done
}

# lab VERB...: without the descriptor by which bats would wait for whatever is started in it.
lab() {
	"$ROOT/lab/lab" "$@" 3>&-
}

# start_missing MACHINES...: a test may have left some without a daemon.
start_missing() {
	local machine list=()

	for machine in "$@"; do
		[ -n "$(pid_of "$STATE/$machine/plimsoll.pid")" ] || list+=("$machine")
	done
	[ ${#list[@]} -eq 0 ] || lab start "${list[@]}"
}

# ------------------------------------------------------------------- saying what is wrong

# expect ARGUMENTS OF [: and says what it was that did not hold.
expect() {
	[ "$@" ] || fail "does not hold: $*"
}

# holds EXPRESSION: of awk's, for numbers with a fraction.
holds() {
	awk "BEGIN { exit !($1) }" || fail "does not hold: $1"
}

# says TEXT: the program that was `run` has printed it.
says() {
	# shellcheck disable=SC2154 # set by run
	[[ $output == *"$1"* ]] || fail "no \"$1\" in: $output"
}

fail() {
	echo "$*"
	return 1
}

# ------------------------------------------------------------------- clients

# fetch PATH [ARGUMENTS OF curl...]: from the VIP, by c1. Each call is a connection.
fetch() {
	local path=$1

	shift
	inside c1 curl -sS --fail --max-time 60 "$@" "http://$LAB_VIP/$path" 3>&-
}

# fetch_names COUNT [CLIENT]: a connection each; the name of the server that had it, one a line.
fetch_names() {
	inside "${2:-c1}" curl -sS --fail --max-time 60 -H 'Connection: close' \
		"http://$LAB_VIP/name?[1-$1]"
}

checksum() {
	sha256sum | cut -d ' ' -f 1
}

checksum_of() {
	checksum <"$LAB_FILES/$1"
}

# load_start [ARGUMENTS OF lab wrk...]: in the background. Result: load_result.
load_start() {
	lab wrk --json "$@" >"$BATS_TEST_TMPDIR/load.json" 2>&1 &
	echo $! >"$BATS_TEST_TMPDIR/load.pid"
}

# load_result FILTER: waits for the load's end; FILTER is jq's.
load_result() {
	wait_until 60 process_gone "$(cat "$BATS_TEST_TMPDIR/load.pid")"
	jq -r "$1" "$BATS_TEST_TMPDIR/load.json" || fail "$(cat "$BATS_TEST_TMPDIR/load.json")"
}

# ------------------------------------------------------------------- IPv6

# enable_ipv6 MACHINES...: the lab's are of IPv4 alone. Each gets address6.
enable_ipv6() {
	local machine

	for machine in "$@"; do
		inside "$machine" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0 \
			net.ipv6.conf.lo.disable_ipv6=0
		ip -n "$(namespace "$machine")" address add "$(address6 "$machine")/64" dev eth0 nodad
	done
}

address6() { # MACHINE
	local last

	last=$(address "$1")
	echo "2001:db8::${last##*.}"
}

# listen_in_ipv6 VIP SERVERS...: nginx of the lab listens in IPv4, so a second one does. Answers with its name.
listen_in_ipv6() {
	local vip=$1 machine

	shift
	for machine in "$@"; do
		inside "$machine" python3 "$BATS_TEST_DIRNAME/name6.py" "$vip" "$machine" </dev/null >/dev/null 2>&1 3>&- &
		wait_until 5 inside "$machine" bash -c "ss -Hltn6 | grep -q ':80 '"
	done
}

# ------------------------------------------------------------------- what is told

# Since version 1.7, jq repeats a number as it found it, 1.0 too, until it has computed with it.
JQ_PLAIN_NUMBERS='walk(if type == "number" then . + 0 else . end)'

# show MACHINE FILTER: from `plimsoll show --json`, by jq.
show() {
	lab show "$1" --json | jq -r "$JQ_PLAIN_NUMBERS | $2"
}

counter() { # BALANCER NAME
	show "$1" ".counters.\"$2\""
}

counter_is() { # BALANCER NAME VALUE
	[ "$(counter "$1" "$2")" -eq "$3" ]
}

# backend SERVER FILTER [BALANCER]: what the balancer tells of the server.
backend() {
	show "${3:-b1}" ".services[0].backends[] | select(.address == \"$(address "$1")\") | $2"
}

backend_is() { # SERVER FILTER VALUE
	[ "$(backend "$1" "$2")" = "$3" ]
}

# takes_connections SERVER: nothing speaks against it.
takes_connections() {
	[[ $(backend "$1" .state) =~ ^(healthy|unknown)$ ]]
}

# stamped SERVERS...: reports sent, all together.
stamped() {
	local machine sum=0

	for machine in "$@"; do
		sum=$((sum + $(show "$machine" .carriers.stamped)))
	done
	echo $sum
}

# tc_link MACHINE DIRECTION: where the link of tcx is pinned, if the kernel has that.
tc_link() {
	echo "/run/plimsoll/bpf/$(namespace "$1")/tcx-eth0-$2"
}

# tc_program MACHINE DIRECTION: the id of ours there, by tcx or as a filter; nothing if there is none.
tc_program() {
	if [ -e "$(tc_link "$@")" ]; then
		bpftool -j link show pinned "$(tc_link "$@")" | jq 'select(.ifindex != 0).prog_id'
	else
		inside "$1" tc -j filter show dev eth0 "$2" | jq 'first(.[].options.prog.id | values)'
	fi
}

# tc_detach MACHINE DIRECTION: as if somebody had taken it off behind the daemon's back.
tc_detach() {
	if [ -e "$(tc_link "$@")" ]; then
		bpftool link detach pinned "$(tc_link "$@")"
	else
		inside "$1" tc filter del dev eth0 "$2" pref 94
	fi
}

# keep_off MACHINE: its daemon puts nothing back, as while a successor gets ready; until the test ends, or
# let_go.
keep_off() {
	exec {KEPT_OFF}>"/run/plimsoll/$(namespace "$1")/successor"
	flock "$KEPT_OFF"
}

let_go() {
	exec {KEPT_OFF}>&-
}

# snapshot MACHINE: what a daemon could have changed there.
snapshot() {
	echo '- addresses'
	ip -n "$(namespace "$1")" -o address | sed 's/  */ /g'
	echo '- links'
	ip -n "$(namespace "$1")" -o link
	echo '- settings'
	inside "$1" sysctl -a -r '^net\.ipv4\.(ip_forward|conf\.)' 2>/dev/null
	echo '- qdiscs and filters'
	inside "$1" tc qdisc
	inside "$1" tc filter show dev eth0 ingress 2>&1
	inside "$1" tc filter show dev eth0 egress 2>&1
	echo '- files'
	find "/run/plimsoll/$(namespace "$1")" "/run/plimsoll/bpf/$(namespace "$1")" 2>/dev/null || true
}

# ------------------------------------------------------------------- what passes on the wires

# wire FILTER: from the switch's counters, by jq.
wire() {
	wire_counters | jq -r "$1"
}

wire_is_quiet() {
	local before

	before=$(wire_counters)
	sleep 0.3
	[ "$(wire_counters)" = "$before" ]
}

# connections_during SECONDS: {"s1":, ...}, new ones by the switch's count.
connections_during() {
	local before

	before=$(wire .connections)
	sleep "$1"
	jq -c --argjson before "$before" \
		'.connections | to_entries | map(.value -= $before[.key]) | from_entries' < <(wire_counters)
}

# share SERVER CONNECTIONS: of all.
share() {
	jq -r ".$1 / ([.[]] | add)" <<<"$2"
}

# captured FILE: packets in it.
captured() {
	tcpdump -n -r "$1" 2>/dev/null | wc -l
}

# retransmitted MACHINES...: segments, since the machine was made.
retransmitted() {
	local machine sum=0

	for machine in "$@"; do
		sum=$((sum + $(inside "$machine" nstat -asz TcpRetransSegs | awk '/Retrans/ { print $2 }')))
	done
	echo $sum
}
