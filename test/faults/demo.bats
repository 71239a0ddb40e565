#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Somebody presses Ctrl-C in the demo: while the lab is made, while the load runs, after the balancer has
# been exchanged. What is left is what was there before.

load ../net/helpers

machine_state() {
	ip netns list | grep -w 'demo-.*' || true
	ls -d /run/plimsoll/demo-* /run/plimsoll/bpf/demo-* "$LAB_STATES/demo" /run/lock/plimsoll-demo.pid* 2>/dev/null || true
	ip -o link show | awk -F ': ' '{ print $2 }' | grep demo || true
	pgrep -f 'lab/demo|demo-[bcs][0-9]' || true
}

# demo_says TEXT
demo_says() {
	grep -q "$1" "$BATS_TEST_TMPDIR/demo"
}

# interrupted_when SIGNAL TEXT: as soon as it says that.
interrupted_when() {
	local demo status=0

	# Job control, because what runs in the background ignores SIGINT otherwise.
	set -m
	"$ROOT/lab/demo" >"$BATS_TEST_TMPDIR/demo" 2>&1 </dev/null 3>&- &
	demo=$!
	set +m
	wait_until 60 demo_says "$2" || fail "$(cat "$BATS_TEST_TMPDIR/demo")"
	# As a terminal does: to all that it has started, too.
	kill "-$1" -- "-$demo"
	wait "$demo" || status=$?
	expect "$status" -eq 130
	demo_says 'stopped; everything is taken down again' || fail "$(cat "$BATS_TEST_TMPDIR/demo")"
	expect -z "$(machine_state)"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	expect -z "$(machine_state)"
}

teardown() {
	:
}

@test "while the lab is made" {
	interrupted_when INT 'they all weigh the same'
}

@test "while the load runs" {
	interrupted_when INT 'Without feedback'
	interrupted_when TERM 'With in-band feedback'
}
