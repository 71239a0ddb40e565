#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What happens to a server's agent, and breaks no connection. That a balancer that dies costs the
# others' connections nothing: test/net/report.bats.

load ../net/helpers
load ../net/streams

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab config key=yes
	streams_serve
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
}

@test "agents are killed, and started again" {
	local before

	streams_begin
	lab kill s1 s2
	settle
	lab start s1 s2
	before=$(backend s1 .reports)
	settle
	expect "$(backend s1 .reports)" -gt "$before"
	streams_unharmed agents-killed-and-restarted
}

@test "other agents take over" {
	local before

	streams_begin
	lab takeover server
	before=$(backend s1 .reports)
	settle
	lab takeover server
	settle
	expect "$(backend s1 .reports)" -gt "$before"
	expect "$(show b1 '[.counters | to_entries[] | select(.key | test("^report-(unk|wrong|malf|no)")).value] | add')" -eq 0
	streams_unharmed agents-taken-over
}

# reload MACHINE [TEXT FOR ITS FILE, AS sed -i TAKES IT]
reload() {
	sed -i "${2:-}" "$STATE/$1/server.yaml"
	"$PLIMSOLL" reload --instance "$(namespace "$1")" 3>&-
}

@test "agents read their files again: services and budgets come and go, a mistake changes nothing" {
	local machine

	for machine in s1 s2 s3 s4; do
		cp "$STATE/$machine/server.yaml" "$BATS_TEST_TMPDIR/$machine.yaml"
	done
	streams_begin
	for machine in s1 s2 s3 s4; do
		reload "$machine" "s/^services:/report: {max_share: 1%}\n&\n  - {address: 10.1.0.110:81}/"
	done
	settle
	reload s1 '1i nonsense: 1' && fail 'a mistake is no reason to refuse'
	kill -HUP "$(pid_of "$STATE/s1/plimsoll.pid")"
	settle
	for machine in s1 s2 s3 s4; do
		cp "$BATS_TEST_TMPDIR/$machine.yaml" "$STATE/$machine/server.yaml"
		reload "$machine"
	done
	settle
	streams_unharmed agents-reloaded
}

# What an agent leaves when it is killed goes on reporting; here that is taken away, too.
@test "an agent dies with its programs: plain DSR, its load becomes unknown" {
	streams_begin
	lab kill s3
	tc_detach s3 ingress
	tc_detach s3 egress
	wait_until 5 backend_is s3 .known false
	settle
	expect "$(backend s3 .state)" = healthy
	streams_unharmed agent-dead
	expect "$(figure .servers.s3.new)" -gt 0
}

@test "a server's interface is down for half a second" {
	streams_begin
	ip -n "$(namespace s1)" link set eth0 down
	sleep 0.5
	ip -n "$(namespace s1)" link set eth0 up
	settle
	streams_unharmed server-interface-down-and-up
}
