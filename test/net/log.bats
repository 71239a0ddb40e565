#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# --log-format json: every line of a daemon's life is an object, from its mistakes to its end.

load helpers

setup_file() {
	open_lab clients=0 balancers=1 servers=2
	lab config
}

# run_daemon MACHINE [ARGUMENTS...]: in the background, its log in MACHINE.log.
run_daemon() {
	local machine=$1 role

	role=$(role "$1")
	shift
	ip netns exec "$(namespace "$machine")" "$PLIMSOLL" "$role" --config "$STATE/$machine/$role.yaml" \
		--instance "$(namespace "$machine")" --log-format json "$@" 2>"$BATS_TEST_TMPDIR/$machine.log" 3>&- &
	echo $! >"$STATE/$machine/plimsoll.pid"
	wait_until 10 grep -q '"ready' "$BATS_TEST_TMPDIR/$machine.log"
}

# events MACHINE: their names, in order; fails if a line is no object with all that it must have.
events() {
	jq -er 'if (.time | test("^[0-9-]+T[0-9:]+\\.[0-9]+Z$")) and .message and .level and .role and .instance
		then .event else error("incomplete: \(.)") end' "$BATS_TEST_TMPDIR/$1.log"
}

logged() { # MACHINE EVENT
	jq -e --arg event "$2" 'select(.event == $event)' "$BATS_TEST_TMPDIR/$1.log"
}

@test "a life: ready, what happens to backends, a change by hand, a reload refused, the end" {
	run_daemon s1
	run_daemon s2
	run_daemon b1
	lab plimsoll b1 weight web 10.1.0.11 3
	echo 'nonsense: 1' >>"$STATE/b1/balancer.yaml"
	kill -HUP "$(cat "$STATE/b1/plimsoll.pid")"
	wait_until 5 logged b1 reload-refused >/dev/null
	lab plimsoll b1 drain web 10.1.0.12
	wait_until 10 logged b1 drained >/dev/null
	sed -i /nonsense/d "$STATE/b1/balancer.yaml"
	lab stop all

	events b1
	events s1
	[ "$(events b1 | tail -n 1)" = stopping ]
	[ "$(events s1 | tr '\n' ' ')" = 'balancer-up ready stopping ' ]
	logged b1 weight-set | jq -e '.service == "web" and .backend == "10.1.0.11" and .count == 1 and .level == "notice"'
	logged b1 reload-refused | jq -e '.level == "warning"'
	logged b1 backend-up | jq -es 'map(.backend) | sort == ["10.1.0.11", "10.1.0.12"]'
	logged b1 drained | jq -e '.cause | test("has no connections left, of [0-9]+ that it has had")'
	# The same for another reader.
	python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <"$BATS_TEST_TMPDIR/b1.log"
}

@test "mistakes of a file, each an object; a format that there is not" {
	printf 'interfaces: [eth0]\nservices: [{address: nowhere}]\nnonsense: 1\n' >"$BATS_TEST_TMPDIR/bad.yaml"
	run -1 --separate-stderr "$PLIMSOLL" balancer --config "$BATS_TEST_TMPDIR/bad.yaml" --log-format json
	# shellcheck disable=SC2154 # set by run
	jq -es --arg file "$BATS_TEST_TMPDIR/bad.yaml" 'length >= 2 and all(.event == "config-mistake" and .file == $file) and
		(map(.line) | unique == [2, 3])' <<<"$stderr"
	run -2 "$PLIMSOLL" balancer --config "$BATS_TEST_TMPDIR/bad.yaml" --log-format xml
	says '"xml" is no format; text and json are'
}

@test "servers that do not answer: each once, however many services they have, and no flood" {
	local i

	{
		printf 'interfaces: [eth0]\nlisten: none\nservices:\n'
		for i in 1 2 3; do
			printf '  - {address: 10.1.0.100:8%s, ring_size: 101, backends: [{address: 10.1.0.98}, {address: 10.1.0.99}]}\n' "$i"
		done
		printf '  - {address: 10.1.0.100:90, ring_size: 101, backends: ['
		printf '{address: 10.1.1.%s}, ' {1..80}
		printf ']}\n'
	} >"$STATE/b1/balancer.yaml"
	ip -n "$(namespace b1)" route add 10.1.1.0/24 dev eth0
	run_daemon b1
	lab stop b1
	[ "$(logged b1 no-neighbour | jq -s 'map(select(.backend == "10.1.0.98")) | length')" -eq 1 ]
	[ "$(logged b1 no-neighbour | jq -s length)" -eq 50 ]
	logged b1 ready | jq -e '.message | test("0 of 86 backends reachable")'
}
