#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# feedback: poll: the balancer asks the servers' agents, ours or others', and a real HAProxy asks
# ours. What is not to pass on the wires is counted by the switch.

load helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab wire start
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	lab capacity s1 12
	lab capacity s2 12
}

teardown() {
	local pid

	end_client_programs
	cat "$BATS_TEST_TMPDIR"/*.agent "$BATS_TEST_TMPDIR/haproxy.pid" 2>/dev/null |
		while read -r pid; do
			kill "$pid" 2>/dev/null || true
		done
	lab stop all
	undo_direct s1 s2
}

undo_direct() {
	local machine

	for machine in "$@"; do
		ip -n "$(namespace "$machine")" address delete "$LAB_VIP/32" dev lo 2>/dev/null || true
	done
}

# polled [KEY=VALUE...]: agents that only answer, and a balancer that asks them.
polled() {
	lab config feedback=poll poll_interval=100ms agent=yes in_band=no "$@"
	lab start all
	wait_until 5 backend_is s1 .known true
	wait_until 5 backend_is s2 .known true
}

# third_party MACHINE LINE: an agent as people write them; it says what is in the file.
third_party() {
	echo "$2" >"$BATS_TEST_TMPDIR/$1.line"
	ip netns exec "$(namespace "$1")" socat "TCP-LISTEN:$LAB_AGENT_PORT,fork,reuseaddr" \
		SYSTEM:"cat $BATS_TEST_TMPDIR/$1.line" 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/$1.agent"
}

# load_at_most MACHINE FILTER NUMBER
load_at_most() {
	awk -v value="$(show "$1" "$2")" -v limit="$3" 'BEGIN { exit !(value <= limit) }'
}

# under_load SERVERS...: as the balancer has heard.
under_load() {
	local machine

	for machine in "$@"; do
		[ "$(backend "$machine" .in_flight)" -gt 0 ] || return
	done
}

@test "polled loads are known and fresh, and no packet makes a detour" {
	local before server

	polled
	before=$(wire .options_to_balancer.packets)
	load_start duration=60 connections=32
	wait_until 5 under_load s1 s2 || fail "$(lab show b1; cat "$BATS_TEST_TMPDIR/load.json")"
	for server in s1 s2 s1 s2 s1 s2; do
		holds "$(backend $server .report_age_ms) < 200"
		expect "$(backend $server .known)" = true
	done
	holds "$(backend s1 .latency_us) > 0"
	expect "$(wire .options_to_balancer.packets)" -eq "$before"
	expect "$(wire .options_to_client.packets)" -eq 0
	expect "$(counter b1 report-taken)" -eq 0
	expect "$(stamped s1 s2)" -eq 0
}

@test "what is polled is what the server says of itself, and counts the connections exactly" {
	polled poll_interval=20ms
	fetch_names 100
	wait_until 5 backend_is s1 .pending 0
	wait_until 5 backend_is s2 .pending 0
	for server in s1 s2; do
		expect "$(show $server '.balancers[0].connections_seen')" -eq "$(backend $server .connections)"
		expect "$(backend $server .in_flight)" -eq 0
		expect "$(show $server .load.in_flight)" -eq 0
	done
}

# asked SERVER: SECONDS POLLS ANSWERS, at one and the same time.
asked() {
	show b1 ".uptime_seconds as \$seconds | .services[0].backends[] |
		select(.address == \"$(address "$1")\") | \"\(\$seconds) \(.polls) \(.poll_answers)\""
}

@test "agents are asked once per interval, however often they are asked for" {
	local before after

	polled
	before=$(asked s1)
	sleep 3
	after=$(asked s1)
	echo "seconds, polls, answers: $before, then $after"
	awk -v before="$before" -v after="$after" 'BEGIN {
		split(before, b); split(after, a)
		seconds = a[1] - b[1]; polls = a[2] - b[2]; answers = a[3] - b[3]
		exit !(polls >= 7 * seconds && polls <= 11 * seconds && answers >= polls - 3)
	}'
	expect "$(backend s1 .poll_answers_refused)" -eq 0
}

# Nobody sends anything that could bring the measure along.
@test "a polled utilisation follows the CPU without any traffic" {
	local burners=()

	polled
	while [ ${#burners[@]} -lt 4 ]; do
		nice -n -5 timeout 20 sh -c 'while :; do :; done' 3>&- &
		burners+=($!)
	done
	wait_until 3 load_at_most b1 "1 - .services[0].backends[0].utilisation" 0.1
	wait_until 3 load_at_most s1 "1 - .load.utilisation" 0.1
	kill "${burners[@]}"
}

@test "with a key, answers bear a tag; one with another key is not believed" {
	lab config feedback=poll poll_interval=50ms agent=yes in_band=no key=yes
	(umask 077 && echo 00112233445566778899aabbccddeeff >"$STATE/other.key")
	sed -i 's/report\.key/other.key/' "$STATE/s2/server.yaml"
	lab start all
	wait_until 5 backend_is s1 .known true
	wait_until 5 load_at_most b1 '3 - .services[0].backends[1].poll_answers_refused' 0
	expect "$(backend s1 .poll_answers_refused)" -eq 0
	expect "$(backend s2 .poll_answers)" -eq 0
	expect "$(backend s2 .known)" = false
}

@test "an agent that goes is unknown after stale_after, and known again when it is back" {
	local answers

	polled stale_after=400ms
	lab kill s1
	wait_until 5 backend_is s1 .known false
	answers=$(backend s1 .poll_answers)
	expect "$(backend s2 .known)" = true
	run -0 fetch_names 40
	grep -qx s1 <<<"$output"
	lab start s1
	wait_until 5 backend_is s1 .known true
	expect "$(backend s1 .poll_answers)" -gt "$answers"
}

@test "a slowed server's share falls, by polling as well" {
	local before after

	polled poll_interval=10ms
	load_start duration=60 connections=48
	sleep 1
	before=$(share s1 "$(connections_during 2)")
	lab capacity s1 2
	sleep 1
	after=$(share s1 "$(connections_during 2)")
	echo "share of s1: $before, when slowed $after"
	holds "$before > 0.3"
	holds "$after < $before / 2"
}

@test "agents of others are polled by HAProxy's agent-check" {
	local all

	lab direct s1 s2
	third_party s1 '40%'
	third_party s2 'up 90% # what a day'
	lab config feedback=poll poll_protocol=agent-check poll_interval=100ms signal=utilisation
	lab start b1
	wait_until 5 backend_is s1 .known true
	wait_until 5 backend_is s2 .known true
	holds "$(backend s1 .utilisation) > 0.59 && $(backend s1 .utilisation) < 0.61"
	holds "$(backend s2 .utilisation) > 0.09 && $(backend s2 .utilisation) < 0.11"
	load_start duration=60 connections=16
	sleep 1
	all=$(connections_during 2)
	echo "$all"
	holds "$(share s1 "$all") < 0.4"
	echo down >"$BATS_TEST_TMPDIR/s2.line"
	wait_until 5 backend_is s2 .utilisation 1
	echo 'nonsense' >"$BATS_TEST_TMPDIR/s1.line"
	wait_until 5 backend_is s1 .known false
	holds "$(backend s1 .poll_answers_refused) > 0"
	expect "$(backend s2 .poll_answers_refused)" -eq 0
}

@test "our balancer and our agent speak it with each other" {
	polled poll_protocol=agent-check signal=utilisation
	holds "$(backend s1 .report_age_ms) < 300"
	load_start duration=60 connections=48
	sleep 1
	holds "$(backend s1 .utilisation) > 0.1"
	expect "$(backend s1 .poll_answers_refused)" -eq 0
}

haproxy_configuration() {
	local server

	cat <<-END
		global
			stats socket $BATS_TEST_TMPDIR/haproxy.sock mode 600 level admin
		defaults
			mode http
			option http-server-close
			timeout connect 2s
			timeout client 20s
			timeout server 20s
		listen web
			bind $(address b1):80
			balance roundrobin
	END
	for server in s1 s2; do
		echo "	server $server $(address $server):80 weight 100 check" \
			"agent-check agent-port $LAB_AGENT_PORT agent-inter 100ms"
	done
}

# weight SERVER: what HAProxy has made of 100.
weight() {
	echo "get weight web/$1" | socat - "UNIX:$BATS_TEST_TMPDIR/haproxy.sock" | awk '{ print $1; exit }'
}

# weight_below SERVER EXPRESSION OTHER
weight_below() {
	WEIGHTS="$(weight "$1") $(weight "$3")"
	awk -v weights="$WEIGHTS" "BEGIN { split(weights, w); exit !(w[1] < w[2] $2) }"
}

# The agents meter the servers' own addresses here: HAProxy's connections end on it.
@test "a real HAProxy takes its weights from our agents" {
	local server names

	lab config agent=yes in_band=no
	for server in s1 s2; do
		sed -i "s/$LAB_VIP:80/$(address $server):80/" "$STATE/$server/server.yaml"
	done
	lab start s1 s2
	haproxy_configuration >"$BATS_TEST_TMPDIR/haproxy.cfg"
	inside b1 haproxy -D -p "$BATS_TEST_TMPDIR/haproxy.pid" -f "$BATS_TEST_TMPDIR/haproxy.cfg" 3>&-
	wait_until 5 weight_below s1 '* 2' s2
	expect "$(weight s1)" -ge 1

	load_start target=s1 duration=60 connections=128
	wait_until 10 weight_below s1 '/ 2' s2 || fail "weights with s1 loaded: $WEIGHTS"
	names=$(inside c1 curl -sS --fail --max-time 20 -H 'Connection: close' \
		"http://$(address b1)/name?[1-60]" | sort | uniq -c)
	echo "$WEIGHTS, $names"
	expect "$(awk '/s2/ { print $1 }' <<<"$names")" -gt 30

	end_client_programs
	wait_until 10 weight_below s2 '* 1.5' s1 || fail "weights with s1 released: $WEIGHTS"
}
