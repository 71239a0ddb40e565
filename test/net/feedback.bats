#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# New connections go where there is room, as the servers report it; and where they are to go when
# there is nothing to go by. Shares are counted on the switch, not by Plimsoll.

load helpers

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab wire start
	lab config
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	lab capacity s1 12
	lab capacity s2 12
	lab capacity s3 12
	start_missing s1 s2 s3
}

# Each test has a balancer of its own; the agents stay, but for those that a test has meddled with.
teardown() {
	[ -n "${LAB:-}" ] || return 0
	end_client_programs
	lab stop b1
}

# share_is EXPRESSION: of awk's, in which "share" stands for s1's during one second.
share_is() {
	SHARE=$(share s1 "$(connections_during 1)")
	awk "BEGIN { share = $SHARE; exit !($1) }"
}

# within_sigmas COUNT TOTAL PROBABILITY: four of them, by the binomial distribution; the ring adds
# half a per cent of error of its own.
within_sigmas() {
	awk -v count="$1" -v total="$2" -v p="$3" 'BEGIN {
		off = count / total - p
		exit !(off * off <= (4 * sqrt(p * (1 - p) / total) + 0.005) ^ 2)
	}' || fail "$1 of $2 is not $3"
}

@test "a slowed server's share falls below half within a second, and comes back" {
	lab config
	share_follows_capacity
}

@test "so it does by the reports alone, without weights that learn" {
	lab config
	sed -i 's/^    feedback: .*/&\n    weights: configured/' "$STATE/b1/balancer.yaml"
	share_follows_capacity
}

share_follows_capacity() {
	local before after

	lab start b1
	load_start duration=60 connections=48
	sleep 1
	before=$(share s1 "$(connections_during 2)")
	lab capacity s1 2
	sleep 1
	after=$(share s1 "$(connections_during 1)")
	echo "share of s1: $before, when slowed $after"
	holds "$before > 0.2"
	holds "$after < $before / 2"
	lab capacity s1 12
	wait_until 20 share_is "share > 0.65 * $before" ||
		fail "once released: $SHARE"
}

@test "without feedback, shares are by weight 1:2:3, however slow a server is" {
	local all

	lab config feedback=none weights=1,2,3
	lab start b1
	load_start duration=60 connections=48
	lab capacity s3 4
	all=$(connections_during 4)
	echo "$all"
	expect "$(jq .s1+.s2+.s3 <<<"$all")" -gt 500
	within_sigmas "$(jq .s1 <<<"$all")" "$(jq .s1+.s2+.s3 <<<"$all")" 0.166667
	within_sigmas "$(jq .s3 <<<"$all")" "$(jq .s1+.s2+.s3 <<<"$all")" 0.5
}

@test "a server without an agent takes its part, as plain DSR, while others report" {
	local all

	lab config
	lab stop s2
	lab direct s2
	lab start b1
	load_start duration=60 connections=48
	sleep 1
	all=$(connections_during 2)
	echo "$all"
	holds "$(share s2 "$all") > 0.1"
	expect "$(backend s2 .known)" = false
	expect "$(backend s2 .reports)" -eq 0
	expect "$(backend s2 .in_flight)" = null
	expect "$(backend s1 .known)" = true
	expect "$(backend s3 .known)" = true
	run -0 fetch_names 40
	grep -qx s2 <<<"$output"
	ip -n "$(namespace s2)" address delete "$LAB_VIP/32" dev lo
}

# Its tc program is taken away: the server answers on, but its packets bear no reports any more. It is the
# last test.
@test "a server that stops reporting is unknown after stale_after, and still takes its part" {
	local reports all

	lab config stale_after=500ms
	lab start b1
	load_start duration=60 connections=48
	wait_until 5 backend_is s1 .known true
	keep_off s1
	tc_detach s1 egress
	wait_until 5 backend_is s1 .known false
	reports=$(backend s1 .reports)
	all=$(connections_during 2)
	echo "$all"
	holds "$(share s1 "$all") > 0.1"
	holds "$(backend s1 .report_age_ms) > 1500"
	expect "$(backend s1 .known)" = false
	expect "$(backend s1 .reports)" -eq "$reports"
	expect "$(backend s2 .known)" = true
}
