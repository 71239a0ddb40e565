#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The lab cleans up after itself, whatever has happened in it, and after a predecessor that could not.

load helpers

setup_file() {
	[ "$(id -u)" -eq 0 ] || return 0
	close_deserted_labs
	export LAB=net$$
}

teardown() {
	[ -n "${LAB:-}" ] || return 0
	lab down
	lab down "name=${LAB}x"
}

# What is there of the lab: one thing a line.
traces() {
	own_namespaces
	find "$STATE" /run/plimsoll/"$LAB"-* /run/plimsoll/bpf/"$LAB"-* -maxdepth 0 2>/dev/null
	find "$(capacity_root)" -maxdepth 1 -name "*-$LAB" 2>/dev/null
	ip -o link | grep -w -e "$LAB"
	grep -w -e "$LAB" /proc/self/mounts
}

programs() {
	local namespace

	for namespace in $(own_namespaces); do
		ip netns pids "$namespace"
	done
}

nothing_left() { # PROCESSES...
	local process

	expect -z "$(traces)"
	for process in "$@"; do
		wait_until 3 process_gone "$process" || fail "process $process is left: $(tr '\0' ' ' <"/proc/$process/cmdline")"
	done
}

# No one listens there, so the machine itself refuses.
reaches() { # MACHINE MACHINE
	run -7 lab exec "$1" curl -s --max-time 2 "http://$(address "$2")"
	run -0 lab exec "$1" ip neighbour show to "$(address "$2")"
	says "$(mac "$2")"
}

full_lab() {
	lab up clients=1 servers=2
	lab nginx
	lab config
	lab start all
	lab capacity s1 20
	load_start duration=60 connections=8
	wait_until 5 fetch name
}

@test "down leaves nothing, not even of what runs" {
	local processes

	full_lab
	processes=$(programs)
	expect "$(wc -w <<<"$processes")" -ge 7
	expect "$(traces | wc -l)" -ge 8
	lab down
	# shellcheck disable=SC2086 # one argument each
	nothing_left $processes
}

@test "down leaves nothing after the daemons were killed" {
	local processes

	full_lab
	processes=$(programs)
	lab kill b1 s1 s2
	lab down
	# shellcheck disable=SC2086
	nothing_left $processes
}

@test "up makes a lab afresh, whatever is there of an old one" {
	local processes process

	full_lab
	processes=$(programs)
	lab up clients=1 servers=1
	for process in $processes; do
		wait_until 3 process_gone "$process"
	done
	expect "$(own_namespaces | sort | xargs)" = "$LAB-b1 $LAB-c1 $LAB-s1 $LAB-switch"
	reaches c1 s1
	lab down
	nothing_left
}

# Up is killed at different places on its way.
@test "up killed in the middle: the next one works, and down leaves nothing" {
	local delay

	for delay in 0.05 0.15 0.3; do
		up_interrupted KILL "$delay"
		expect -n "$(traces)"
		lab up clients=1 balancers=0 servers=2
		reaches c1 s2
		lab down
		nothing_left
	done
}

@test "up interrupted or terminated takes back what it has made" {
	up_interrupted INT 0.3
	nothing_left
	up_interrupted TERM 0.3
	nothing_left
}

# up_interrupted SIGNAL SECONDS: of a lab that takes longer than that to make.
up_interrupted() {
	local up

	# Job control, because what runs in the background ignores SIGINT otherwise.
	set -m
	"$ROOT/lab/lab" up clients=1 servers=60 3>&- &
	up=$!
	set +m
	wait_until 5 test -d "$STATE"
	sleep "$2"
	kill "-$1" "$up"
	! wait "$up" || fail 'the lab was up before'
}

@test "two labs at a time do not know each other" {
	lab up clients=1 balancers=0 servers=1
	lab up "name=${LAB}x" clients=1 balancers=0 servers=1
	lab down "name=${LAB}x"
	reaches c1 s1
	lab down
	nothing_left
}

# shows_until_stopped COMMAND: it goes on until Ctrl-C, and says where meanwhile.
shows_until_stopped() {
	timeout -s INT 2 bash -c "exec env $1" </dev/null >"$BATS_TEST_TMPDIR/shown" 2>&1 3>&-
	[ $? -eq 124 ] && grep -q 'http://127.0.0.1' "$BATS_TEST_TMPDIR/shown"
}

@test "what play proposes works as it stands" {
	local line

	run -0 lab play servers=2
	says "The lab \"$LAB\" is up: c1 b1 s1 s2"
	grep -E '^  LAB=' <<<"$output" | sed -E 's/ {3,}.*//; s/duration=60 &/duration=1/' >"$BATS_TEST_TMPDIR/proposed"
	expect "$(wc -l <"$BATS_TEST_TMPDIR/proposed")" -ge 8
	cd "$ROOT"
	while read -r line; do
		case $line in
		*' page') shows_until_stopped "$line" ;;
		*) bash -c "$line" </dev/null 3>&- ;;
		esac || fail "$line"
	done <"$BATS_TEST_TMPDIR/proposed"
	nothing_left
}

@test "a machine whose cable is cut is reached by nobody, and again when it is plugged in" {
	lab up clients=1 balancers=0 servers=1
	lab cut s1
	run -28 lab exec c1 curl -s --max-time 1 "http://$(address s1)"
	lab plug s1
	reaches c1 s1
	run -1 lab cut s9
	says 'no machine "s9"'
	run -0 lab plug s1
}

@test "who makes a lab that somebody else is making is told so" {
	exec 7>"/run/lock/plimsoll-lab-$LAB"
	flock 7
	run -1 lab up servers=1 7>&-
	exec 7>&-
	says "making or removing the lab \"$LAB\" right now"
	says 'name=NAME'
	lab up servers=1
}

@test "load interrupted in the middle ends, and its client with it" {
	local load

	lab up clients=1 balancers=0 servers=1
	lab nginx
	set -m
	"$ROOT/lab/lab" wrk target=s1 duration=30 3>&- &
	load=$!
	set +m
	wait_until 5 client_runs
	kill -INT -- "-$load"
	! wait "$load" || fail 'it ended by itself'
	wait_until 3 client_is_idle
}

client_runs() {
	[ -n "$(ip netns pids "$(namespace c1)")" ]
}

client_is_idle() {
	! client_runs
}

@test "what the lab does not know is refused, with what it knows" {
	run -1 lab bogus
	says 'nginx'
	run -1 lab up clints=3
	says 'clients='
	run -1 lab up servers=many
	says 'servers=many'
	run -1 lab down 'name=a b'
	says 'a b'
	run -1 lab exec c1 true
	says 'no lab'
}
