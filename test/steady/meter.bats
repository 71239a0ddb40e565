#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Very many connections through a small meter table: what does not fit is counted, and nothing stays.

load ../net/helpers
load ../net/worker

CONNECTIONS=200000

setup_file() {
	open_lab clients=1 servers=1
	[ -n "${LAB:-}" ] || return 0
	lab config
	echo 'meter_entries: 10000' >>"$STATE/s1/server.yaml"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1
}

teardown() {
	end_client_programs
	end_worker
}

are_through() { # CONNECTIONS
	[ "$(metered connections)" -ge "$1" ]
}

# The clients are more than the table has places, and are killed in the middle of their requests.
@test "200,000 connections through a table of 10,000: back to 0 within a second" {
	start_worker --workers 256 --mean 10ms
	worker_load --closed 11500 --duration 240s --timeout 30s
	wait_until 200 are_through "$CONNECTIONS" || fail "only $(metered connections) connections"
	expect "$(metered evicted)" -gt 0
	# Of 11,500 that wait, thrown by chance into buckets of 8 for 10,000, a fifth finds no place; fewer, where
	# they come one after another.
	expect "$(metered evicted)" -lt $((CONNECTIONS / 4))
	kill -9 "$(cat "$BATS_TEST_TMPDIR/load.pid")"
	wait_until 5 process_gone "$(cat "$BATS_TEST_TMPDIR/load.pid")"
	# Their requests wait at the worker, which finds out as it comes to them.
	wait_until 10 truth_is 0
	wait_until 1 in_flight_is 0 || fail "in_flight is $(metered in_flight)"
	show s1 .load
}
