#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# That the stories beside this one, and `make soak`, would see what they are there to see: here something
# really breaks, or leaks.

load ../net/helpers
load ../net/streams

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab config
	streams_serve
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
}

@test "without anything done nothing is broken" {
	streams_begin
	settle
	streams_unharmed nothing
}

@test "no program on the interface for 3 s: the host resets connections" {
	local link

	streams_begin
	link=$(bpftool -j link show pinned "/run/plimsoll/bpf/$(namespace b1)/xdp-eth0" | jq .id)
	bpftool link detach id "$link"
	sleep 3
	streams_end
	expect "$(figure '.breaks."live reset"')" -gt $((STEADY_LIVE / 4))
	expect "$(figure '.breaks."new refused"')" -gt 0
	expect "$(figure '.wrong_bytes')" -eq 0
	lab stop b1
}

@test "the balancer ends in good order, and forgets: half of the connections meet a stranger" {
	streams_begin
	lab stop b1
	echo 'hash_seed: 4711' >>"$STATE/b1/balancer.yaml"
	lab start b1
	streams_end
	expect "$(figure .broken)" -gt $((STEADY_LIVE / 4))
}

# peer_of SERVER: its process.
peer_of() {
	local pid

	for pid in $(ip netns pids "$(namespace "$1")"); do
		[ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$STREAM")" ] || echo "$pid"
	done
}

has_no_peer() {
	[ -z "$(peer_of "$1")" ]
}

@test "a server sends wrong bytes: each is counted, and nothing else" {
	local log=$BATS_TEST_TMPDIR/spoilt

	kill "$(peer_of s1)"
	wait_until 5 has_no_peer s1
	ip netns exec "$(namespace s1)" "$STREAM" serve --name s1 --spoil 1000 >"$log" 2>&1 3>&- &
	wait_until 5 grep -q ready "$log"
	streams_begin
	settle
	streams_end
	kill "$(peer_of s1)"
	wait_until 5 grep -q spoilt "$log"
	echo "wrong: $(figure .wrong_bytes), $(grep spoilt "$log")"
	expect "$(figure .broken)" -eq 0
	expect "$(figure .wrong_bytes)" -gt 100
	expect "spoilt $(figure .wrong_bytes)" = "$(grep spoilt "$log")"
}

# soak FAULTS: a short one of its own, with few connections. Fails unless it ends as one that has found something.
soak() {
	figures=$BATS_TEST_TMPDIR/soak.json
	run -1 "$ROOT/bench/soak" --lab "proof$$" --live 100 --new 50 --seconds 4 --pause 0.2 --output "$figures" --only "$1" 3>&-
	jq -c '{broken, leaked, leaks, told: .breaks[0].told}' "$figures"
}

@test "a soak in which files and maps leak and a server resets: each is counted, and told whose" {
	local figures

	soak leak-file,leak-map,reset
	expect "$(jq -c '[.leaks[][:2]]' "$figures")" = '[["b1","fds"],["s1","maps"]]'
	expect "$(jq '.broken > 0 and (.breaks | length) == .broken' "$figures")" = true
	expect "$(jq '[.breaks[].packets[] | select(test(" (s[1-4]|b1) > c1.*Flags .R"))] | length > 0' "$figures")" = true
}

@test "a soak in which memory leaks" {
	local figures

	soak leak-memory
	# While the last of so many services settle, there may be a map or a file more.
	expect "$(jq 'any(.leaks[][:2]; . == ["b1", "rss"])' "$figures")" = true
}
