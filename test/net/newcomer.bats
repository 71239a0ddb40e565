#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Who looks idle draws no flood: a server that is new, one whose agent is, one that comes back, and one that is done
# with everything at once because it is of no use. Of four equal servers, a quarter is the fair share. New
# connections begin on both CPUs, at a steady rate, for half of what three of them can do.

load helpers

RATE=400 # connections/s from each CPU
# Of the first 200 connections since it is there, and of any 200 in a row, whoever is new gets at most so many times
# its fair share. Others seem fuller than they are, by what they have done since their last report, and chance is in it.
FIRST=1.8

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab wire start
	configure
	lab start all
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
	end_servers s4
	work s1 s2 s3 s4
	by slow_start 0s >/dev/null
}

configure() { # [KEY=VALUE...]
	lab config slow_start=10s 'health={check: tcp, interval: 100ms, timeout: 100ms, rise: 1}' "$@"
}

# serve SERVER PROGRAM [ARGUMENTS...]: on port 80.
serve() {
	local log=$STATE/$1/served.log

	mkdir -p "$STATE/$1"
	: >"$log"
	ip netns exec "$(namespace "$1")" "${@:2}" </dev/null >"$log" 2>&1 3>&- &
	echo $! >"$STATE/$1/served.pid"
	wait_until 5 grep -qw ready "$log" || fail "$(cat "$log")"
}

# work SERVERS...: four requests at a time, of 10 ms in the mean.
work() {
	local machine

	for machine in "$@"; do
		[ -n "$(pid_of "$STATE/$machine/served.pid")" ] || serve "$machine" "$LAB_BUILD/worker" --name "$machine" --workers 4 --seed 1
	done
}

end_servers() {
	local machine pid

	for machine in "$@"; do
		pid=$(pid_of "$STATE/$machine/served.pid") || continue
		kill "$pid"
		wait_until 5 process_gone "$pid"
	done
}

# drive SECONDS: load from both CPUs, in the background.
drive() {
	local cpu start

	read -r start _ </proc/uptime
	start=$((${start/./} * 10000000 + 300000000))
	for cpu in 0 1; do
		ip netns exec "$(namespace c1)" taskset -c $((cpu % $(nproc))) "$LAB_BUILD/load" --open $RATE --warmup 0s \
			--duration "$1s" --drain 1s --seed $cpu --series 1ms --start-at $start \
			>"$BATS_TEST_TMPDIR/load$cpu.json" 2>&1 3>&- &
		echo $! >"$BATS_TEST_TMPDIR/load$cpu.pid"
	done
}

# share_of SERVER: what share.py says when the load has ended.
share_of() {
	local cpu

	for cpu in 0 1; do
		wait_until 30 process_gone "$(cat "$BATS_TEST_TMPDIR/load$cpu.pid")"
	done
	"$BATS_TEST_DIRNAME/share.py" "$1" 200 "$BATS_TEST_TMPDIR"/load?.json || fail "$(cat "$BATS_TEST_TMPDIR"/load?.json)"
}

# by KEY VALUE: the service, from now on.
by() {
	sed -i "s/^    $1: .*/    $1: $2/" "$STATE/b1/balancer.yaml"
	lab plimsoll b1 reload
}

# joins POLICY: s4, in the middle of traffic. Prints what share.py says of it.
joins() {
	by policy "$1" >/dev/null
	wait_until 5 backend_is s4 .state healthy
	"$PLIMSOLL" remove web "$(address s4)" --now --instance "$(namespace b1)" >/dev/null 3>&-
	drive 2
	sleep 0.4
	"$PLIMSOLL" add web "$(address s4)" --instance "$(namespace b1)" >/dev/null 3>&-
	share_of s4
}

# draws_no_flood WHAT SHARES
draws_no_flood() {
	echo "$1: $2"
	holds "$(jq .first <<<"$2") <= 0.25 * $FIRST"
	holds "$(jq .all <<<"$2") <= 0.25 * 1.5"
}

# returns: s4, which was down, in the middle of traffic. Prints what share.py says of it.
returns() {
	end_servers s4
	wait_until 5 backend_is s4 .state down
	drive 2
	sleep 0.3
	work s4
	share_of s4
}

@test "a server that was down comes back as a new one, and with slow_start with less" {
	local shares

	shares=$(returns)
	draws_no_flood 'at once' "$shares"
	holds "$(jq .all <<<"$shares") >= 0.25 / 4"
	by slow_start 10s >/dev/null
	shares=$(returns)
	echo "slowly: $shares"
	holds "$(jq .all <<<"$shares") <= 0.25 * 0.7"
}

@test "by latency, of which a new server has none, it gets no flood either" {
	local shares

	shares=$(joins prequal)
	echo "prequal: $shares"
	holds "$(jq .all <<<"$shares") <= 0.25 * 2"
}

# spares_s4 WHAT [MOST]: it has much less than its fair share, or not more than that.
spares_s4() {
	local share

	share=$(share s4 "$(connections_during 0.3)")
	echo "$1: $share"
	holds "$share <= 0.25 * ${2:-0.5}"
}

@test "a server that resets whatever it gets is spared, by every policy and signal that goes by load" {
	local policy signal

	end_servers s4
	serve s4 "$BATS_TEST_DIRNAME/sinkhole.py"
	wait_until 5 backend_is s4 .state healthy
	drive 20
	sleep 0.5
	# Where this machine's CPUs are full, so are all the servers, and by weighted-random full ones are alike.
	by policy weighted-random >/dev/null
	spares_s4 weighted-random 1.5
	for policy in least-loaded prequal power-of-choices; do
		by policy $policy >/dev/null
		spares_s4 $policy
	done
	for signal in utilisation latency accept-queue worst in-flight; do
		by signal $signal >/dev/null
		spares_s4 $signal
	done
}

# For good, so this is the last test.
@test "a new server gets its share at once and no more, though reports come only five times a second" {
	local machine shares

	# By its first report it is empty, and for 200 ms there is no other: what has been sent there has to tell.
	configure min_interval=200ms max_interval=200ms
	for machine in s1 s2 s3 s4; do
		lab plimsoll $machine reload >/dev/null
	done
	by slow_start 0s >/dev/null
	draws_no_flood power-of-choices "$(joins power-of-choices)"
	# Its agent knows nothing of what it does already.
	lab stop s4
	lab direct s4
	wait_until 5 backend_is s4 '.state != "down"' true
	drive 2
	sleep 0.5
	lab start s4
	shares=$(share_of s4)
	draws_no_flood 'a new agent' "$shares"
	holds "$(jq .largest <<<"$shares") <= 0.25 * $FIRST"
}
