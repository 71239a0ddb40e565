#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A daemon takes over from one that runs, or does not, and then the other one stays. That no
# connection is broken meanwhile: steady.bats, and `make test-steady`.

load helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab start all
}

daemon_of() { # MACHINE
	cat "$STATE/$1/plimsoll.pid"
}

programs_of() { # MACHINE
	inside "$1" bpftool -j net show dev eth0 | jq -c '[.. | .id? // empty]'
	tc_program "$1" ingress
	tc_program "$1" egress
}

# take_over MACHINE [OPTIONS...]: not by the lab, which would wait until it is ready.
take_over() {
	local machine=$1 role

	shift
	role=$(role "$machine")
	timeout 20 ip netns exec "$(namespace "$machine")" "$PLIMSOLL" "$role" --takeover \
		--instance "$(namespace "$machine")" "$@" 3>&-
}

# goes_on MACHINE PROCESS PROGRAMS: nothing has come of it.
goes_on() {
	kill -0 "$2"
	expect "$(programs_of "$1")" = "$3"
	run -0 lab show "$1"
	run -0 fetch_names 10
}

@test "it takes over: other programs, the same counters, who was there goes" {
	local machine old programs packets

	fetch_names 20
	for machine in b1 s1; do
		old=$(daemon_of "$machine")
		programs=$(programs_of "$machine")
		packets=$(show b1 .services[0].connections)
		lab takeover "$machine"
		run ! kill -0 "$old"
		expect "$(programs_of "$machine")" != "$programs"
		fetch_names 10
		wait_until 5 expect "$(show b1 .services[0].connections)" -ge "$packets"
	done
}

files_of() { # MACHINE, so many are open in its daemon
	find "/proc/$(daemon_of "$1")/fd" -mindepth 1 | wc -l
}

holds_no_more_than() { # MACHINE FILES
	[ "$(files_of "$1")" -le "$2" ]
}

@test "nothing of the predecessor's stays open" {
	local machine files

	for machine in b1 s1; do
		lab stop "$machine"
		lab start "$machine"
		files=$(files_of "$machine")
		lab takeover "$machine"
		wait_until 5 holds_no_more_than "$machine" "$files" ||
			fail "$machine: $files files before, $(files_of "$machine") after"
	done
}

@test "one with a mistake in its configuration does not, and one on another interface" {
	local machine role

	for machine in b1 s1; do
		role=$(role "$machine")
		set -- "$machine" "$(daemon_of "$machine")" "$(programs_of "$machine")"
		sed 's/tcp/xyz/' "$STATE/$machine/$role.yaml" >"$BATS_TEST_TMPDIR/$role.yaml"
		run -1 take_over "$machine" --config "$BATS_TEST_TMPDIR/$role.yaml"
		says 'xyz'
		goes_on "$@"
		sed 's/eth0/eth7/' "$STATE/$machine/$role.yaml" >"$BATS_TEST_TMPDIR/$role.yaml"
		run -1 take_over "$machine" --config "$BATS_TEST_TMPDIR/$role.yaml"
		says 'eth7'
		goes_on "$@"
	done
}

@test "one that would forget the connections does not: another seed, another size of the flow table" {
	set -- b1 "$(daemon_of b1)" "$(programs_of b1)"
	{ cat "$STATE/b1/balancer.yaml" && echo 'hash_seed: 4711'; } >"$BATS_TEST_TMPDIR/b.yaml"
	run -1 take_over b1 --config "$BATS_TEST_TMPDIR/b.yaml"
	says 'hash_seed'
	goes_on "$@"
	{ cat "$STATE/b1/balancer.yaml" && echo 'flow_table: {entries: 4096}'; } >"$BATS_TEST_TMPDIR/b.yaml"
	run -1 take_over b1 --config "$BATS_TEST_TMPDIR/b.yaml"
	says 'the number of entries'
	goes_on "$@"
}

@test "one that hangs does not, a third is told of it, and it can be killed" {
	local hanging

	set -- b1 "$(daemon_of b1)" "$(programs_of b1)"
	# The address of a backend that is not there: three seconds it is waited for.
	sed 's/- {address: 10.1.0.11/- {address: 10.1.0.99}\n      &/' "$STATE/b1/balancer.yaml" >"$BATS_TEST_TMPDIR/b.yaml"
	ip netns exec "$(namespace b1)" "$PLIMSOLL" balancer --takeover --instance "$(namespace b1)" \
		--config "$BATS_TEST_TMPDIR/b.yaml" >"$BATS_TEST_TMPDIR/hanging" 2>&1 3>&- &
	hanging=$!
	wait_until 5 test -e "/run/plimsoll/$(namespace b1)/successor"
	sleep 1
	kill -STOP $hanging
	goes_on "$@"
	run -1 take_over b1 --config "$STATE/b1/balancer.yaml"
	says 'already'
	goes_on "$@"
	kill -KILL $hanging
	lab takeover b1
	run -0 fetch_names 10
}

@test "where nobody runs it is an ordinary start" {
	lab kill b1
	(
		# shellcheck source=lab/plimsoll.sh
		launch b1 --takeover 3>&-
		await_ready b1
	)
	run -0 fetch_names 10
	lab takeover b1
}

@test "told to go by SIGUSR2, a daemon leaves the data path; the next one ends all in good order" {
	local old

	old=$(daemon_of s2)
	kill -USR2 "$old"
	wait_until 5 process_gone "$old"
	grep 'goes on' "$STATE/s2/plimsoll.log"
	run -0 fetch_names 20
	expect "$(sort -u <<<"$output" | wc -l)" -eq 2
	lab start s2
	lab stop all
	expect ! -e "/run/plimsoll/bpf/$(namespace b1)"
	expect -z "$(inside b1 ip link show dev eth0 | grep xdp)"
	expect -z "$(tc_program s1 ingress)"
	expect ! -e "$(tc_link s1 ingress)"
}

@test "filters of a predecessor give way to links of tcx, and nothing of theirs is left" {
	local links

	PLIMSOLL_TC=clsact lab start all
	links=$(find /run/plimsoll/bpf/"$LAB"-* -name 'tcx-*')
	expect -z "$links"
	expect -n "$(tc_program s1 egress)"
	fetch_names 10
	lab takeover s1 b1
	expect -n "$(tc_program s1 ingress)"
	expect -n "$(tc_program s1 egress)"
	if [ -e "$(tc_link s1 egress)" ]; then
		expect -z "$(inside s1 tc qdisc show dev eth0 clsact)"
		expect -z "$(inside b1 tc qdisc show dev eth0 clsact)"
		expect ! -e "/run/plimsoll/$(namespace s1)/tc-eth0-egress"
	fi
	run -0 fetch_names 20
	wait_until 5 expect "$(show s1 .carriers.stamped)" -gt 0
	# And back again, as a way to a version that knows no links.
	PLIMSOLL_TC=clsact lab takeover s1 b1
	links=$(find /run/plimsoll/bpf/"$LAB"-* -path '*s2*' -prune -o -name 'tcx-*' -print)
	expect -z "$links"
	expect -n "$(tc_program s1 egress)"
	expect -n "$(tc_program b1 ingress)"
	run -0 fetch_names 20
	lab takeover s1
	lab stop all
	expect -z "$(inside s1 tc qdisc show dev eth0 clsact)"
	expect -z "$(inside b1 tc qdisc show dev eth0 clsact)"
}

# The kernel waits for all CPUs, some 20 ms, after each change in a map of maps: a ring at a time that was too long.
@test "it takes over a thousand rings" {
	local number

	start_missing b1
	cp "$STATE/b1/balancer.yaml" "$BATS_TEST_TMPDIR/b1"
	for number in {1..1000}; do
		echo "  - {name: more$number, address: \"10.77.0.1:$number\", ring_size: 251, backends: [{address: $(address s1)}]}"
	done >>"$STATE/b1/balancer.yaml"
	lab takeover b1
	lab takeover b1
	expect "$(show b1 '.services | length')" -eq 1001
	lab stop b1
	cp "$BATS_TEST_TMPDIR/b1" "$STATE/b1/balancer.yaml"
}

# tells_of_it MACHINE
tells_of_it() {
	grep -q 'eth0: somebody had taken a program of ours off; it is there again' "$STATE/$1/plimsoll.log"
}

@test "a program that somebody takes off is put back, and that is told; another one in its place is left there" {
	local machine old

	lab start b1 s1
	PLIMSOLL_TC=clsact lab start s2
	bpftool link detach pinned "/run/plimsoll/bpf/$(namespace b1)/xdp-eth0"
	tc_detach s1 ingress
	inside s2 tc qdisc del dev eth0 clsact
	for machine in b1 s1 s2; do
		wait_until 5 tells_of_it "$machine"
	done
	for machine in s1 s2; do
		expect -n "$(tc_program "$machine" ingress)"
		expect -n "$(tc_program "$machine" egress)"
	done
	run -0 fetch_names 20

	old=$(daemon_of s2)
	inside s2 tc filter replace dev eth0 egress pref 94 handle 1 bpf direct-action pinned \
		"/run/plimsoll/bpf/$(namespace s1)/program-server_egress"
	wait_until 5 process_gone "$old"
	grep -q 'another daemon has replaced the programs' "$STATE/s2/plimsoll.log"
	PLIMSOLL_TC=clsact lab start s2
	run -0 fetch_names 20
	lab stop all
	expect -z "$(inside s2 tc qdisc show dev eth0 clsact)"
	expect -z "$(tc_program s1 ingress)"
}

@test "whoever has ended is in nobody's way: one starts right after another" {
	for _ in {1..5}; do
		lab start s1
		lab stop s1
	done
}
