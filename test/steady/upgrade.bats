#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# To another version, whose maps look otherwise, and back: what can be carried over is, and what cannot
# be is refused, and then the one that was there goes on.

load ../net/helpers
load ../net/streams

# One more member at the front of each of these, more verdicts and skips in the middle, other places, and a map
# that only the one has and one that only the other has.
MOVED='s/^(#define SERVICES_MAX .*)$/\1\n#define doubted another_doubted/
	s/^(struct (settings|service|choice_state|server|load|backend_stats|server_settings|peer|metrics|application) \{)$/\1\n\t__u64 another;/
	s/^(\tX\(FORWARDED,.*)$/\tX(ANOTHER, "another", PASS, "of another version") \\\n\1/
	s/^(\tX\(BUDGET,.*)$/\tX(ANOTHER, "another", "of another version") \\\n\1/'
# The slots of the flow table are cut up otherwise.
CUT='s/FLOW_BACKEND_BITS = 20/FLOW_BACKEND_BITS = 19/; s/FLOW_TICK_BITS = 13/FLOW_TICK_BITS = 14/'

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab config key=yes
	streams_serve
	export MOVED_BUILD CUT_BUILD
	MOVED_BUILD=$("$BATS_TEST_DIRNAME/other_build" "$BATS_FILE_TMPDIR/moved" "$MOVED" 3>&-)
	CUT_BUILD=$("$BATS_TEST_DIRNAME/other_build" "$BATS_FILE_TMPDIR/cut" "$CUT" 3>&-)
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
}

# with BUILD COMMAND...: the lab, with another program.
with() {
	PLIMSOLL=$1 lab "${@:2}"
}

runs_from() { # MACHINE, the program of its daemon
	readlink "/proc/$(cat "$STATE/$1/plimsoll.pid")/exe"
}

@test "the balancer is upgraded and downgraded by takeover: members have moved, rows are new" {
	local forwarded

	streams_begin
	settle
	forwarded=$(counter b1 forwarded)
	with "$MOVED_BUILD" takeover b1
	expect "$(runs_from b1)" = "$MOVED_BUILD"
	expect "$(counter b1 forwarded)" -ge "$forwarded"
	expect "$(counter b1 another)" -eq 0
	settle
	forwarded=$(counter b1 forwarded)
	lab takeover b1
	expect "$(counter b1 forwarded)" -ge "$forwarded"
	settle
	streams_unharmed upgrade-balancer
}

@test "after a kill -9 another version is started, and this one again" {
	streams_begin
	lab kill b1 s1
	with "$MOVED_BUILD" start b1 s1
	settle
	lab kill b1 s1
	lab start b1 s1
	settle
	streams_unharmed upgrade-after-kill
}

@test "the agents are upgraded and downgraded" {
	local before

	streams_begin
	with "$MOVED_BUILD" takeover server
	before=$(backend s1 .reports)
	settle
	expect "$(backend s1 .reports)" -gt "$before"
	lab takeover server
	settle
	expect "$(show b1 '[.counters | to_entries[] | select(.key | test("^report-(unk|wrong|malf|no)")).value] | add')" -eq 0
	streams_unharmed upgrade-agents
}

@test "a version that would not understand the flow table says so, and the one that runs goes on" {
	local before

	streams_begin
	before=$(cat "$STATE/b1/plimsoll.pid")
	run -1 ip netns exec "$(namespace b1)" "$CUT_BUILD" balancer --takeover --config "$STATE/b1/balancer.yaml" \
		--instance "$(namespace b1)" 3>&-
	says 'the map flows'
	says 'goes on'
	kill -0 "$before"
	run -0 lab show b1
	settle
	lab kill b1
	run -1 ip netns exec "$(namespace b1)" "$CUT_BUILD" balancer --config "$STATE/b1/balancer.yaml" \
		--instance "$(namespace b1)" 3>&-
	says 'the map flows'
	settle
	lab start b1
	settle
	streams_unharmed upgrade-refused
}
