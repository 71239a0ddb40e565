#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# How the daemons begin, end, are killed and come back: the traffic does not notice, and the host is
# afterwards what it was before.

load helpers

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	snapshot b1 >"$BATS_FILE_TMPDIR/b1"
	snapshot s1 >"$BATS_FILE_TMPDIR/s1"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3
}

# ------------------------------------------------------------------- the daemon dies

HELD=12

# Connections and a download, kept by hold.py until held_are_unharmed().
hold_start() {
	inside c1 /usr/bin/python3 "$BATS_TEST_DIRNAME/hold.py" "$LAB_VIP" $HELD \
		"$BATS_TEST_TMPDIR/started" "$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/held" 3>&- &
	HOLDER=$!
	wait_until 20 test -e "$BATS_TEST_TMPDIR/started"
}

held_are_unharmed() {
	touch "$BATS_TEST_TMPDIR/go"
	wait $HOLDER
	cat "$BATS_TEST_TMPDIR/held"
	expect "$(grep -c '^\(s[1-3]\) \1$' "$BATS_TEST_TMPDIR/held")" -eq $HELD
	expect "$(tail -n 1 "$BATS_TEST_TMPDIR/held")" = "$(checksum_of 100m)"
}

@test "the balancer's daemon is killed: a download and new connections go on, show says so" {
	hold_start
	lab kill b1
	run -0 fetch_names 30
	expect "$(sort -u <<<"$output" | wc -l)" -eq 3
	run -1 lab show b1
	says 'does not run'
	says "$(namespace b1)"
	run -1 lab show b1 --json
	[[ $(jq -r .error <<<"$output") == *'does not run'* ]]
	held_are_unharmed
}

# Connections made while the servers' load changes are where their hash alone would not send them:
# had the new daemon lost them, the next request would meet a server that does not know it.
@test "it is started again: connections keep their servers, flows and counts are kept" {
	local flows connections

	load_start duration=3 connections=48
	hold_start
	expect "$(load_result .errors)" -eq 0
	flows=$(show b1 .flows.used)
	connections=$(show b1 '.services[0].connections')
	lab kill b1
	lab start b1
	expect "$(show b1 .flows.used)" -ge "$flows"
	expect "$(show b1 '.services[0].connections')" -ge "$connections"
	expect "$(show b1 '[.services[0].backends[].state] | unique | join(" ")')" = healthy
	held_are_unharmed
	fetch_names 10
	wait_until 5 connections_are_at_least "$((connections + 10))"
}

connections_are_at_least() {
	[ "$(show b1 '.services[0].connections')" -ge "$1" ]
}

@test "an agent is killed and started again under load: no request fails, reports go on" {
	local reports

	load_start duration=8 connections=32
	sleep 1
	lab kill s1
	sleep 0.5
	run -1 lab show s1
	says 'does not run'
	lab start s1
	reports=$(backend s1 .reports)
	expect "$(load_result .errors)" -eq 0
	fetch_names 40
	expect "$(backend s1 .reports)" -gt "$reports"
	expect "$(show b1 '[.counters | to_entries[] | select(.key | test("^report-(unk|wrong|malf|no)")).value] | add')" -eq 0
}

# ------------------------------------------------------------------- what is left

# nothing_left MACHINE: it is as it was before it ever had a daemon.
nothing_left() {
	diff "$BATS_FILE_TMPDIR/$1" <(snapshot "$1") || fail "$1 is not as before"
}

# bpf_objects MACHINE: what the daemon there holds, and the rings: "prog 12", "map 34", one a line.
bpf_objects() {
	local rings

	sed -nE 's/^(prog|map|link)_id:\s*/\1 /p' "/proc/$(cat "$STATE/$1/plimsoll.pid")"/fdinfo/* | sort -u
	rings=/run/plimsoll/bpf/$(namespace "$1")/rings
	[ ! -e "$rings" ] || bpftool -j map dump pinned "$rings" |
		jq -r '.[].value[]' | xargs -n 4 | while read -r a b c d; do
			echo "map $((d << 24 | c << 16 | b << 8 | a))"
		done
}

# The kernel frees them a while after the last who held them has gone.
bpf_objects_gone() {
	local kind id

	while read -r kind id; do
		! bpftool "$kind" show id "$id" >/dev/null 2>&1 || return 1
	done <<<"$1"
}

leaves_nothing() { # SIGNAL MACHINE
	local objects pid

	fetch_names 10
	objects=$(bpf_objects "$2")
	pid=$(cat "$STATE/$2/plimsoll.pid")
	expect "$(grep -c prog <<<"$objects")" -ge 2
	expect "$(grep -c map <<<"$objects")" -ge 8
	run ! bpf_objects_gone "$objects"
	run ! nothing_left "$2"
	kill "-$1" "$pid"
	wait_until 10 process_gone "$pid"
	nothing_left "$2"
	wait_until 5 bpf_objects_gone "$objects" || fail 'BPF objects are left'
}

@test "SIGTERM: the balancer leaves nothing" {
	leaves_nothing TERM b1
}

@test "SIGINT: the balancer leaves nothing" {
	leaves_nothing INT b1
}

@test "SIGTERM: the server leaves nothing" {
	leaves_nothing TERM s1
}

@test "SIGINT: the server leaves nothing" {
	leaves_nothing INT s1
}

@test "what a killed daemon has left, its successor takes back" {
	lab kill b1 s1
	lab start b1 s1
	lab stop b1 s1
	nothing_left b1
	nothing_left s1
}

# ------------------------------------------------------------------- refusals

# plimsoll_on MACHINE ARGUMENTS...: not by the lab, which would not let us.
plimsoll_on() {
	local machine=$1

	shift
	timeout 20 ip netns exec "$(namespace "$machine")" "$PLIMSOLL" "$@" 3>&-
}

refuses_second() { # MACHINE INSTANCE WORDS
	local before role

	role=$(role "$1")
	before=$(snapshot "$1")
	run -1 plimsoll_on "$1" "$role" --config "$STATE/$1/$role.yaml" --instance "$2"
	says "$3"
	diff <(snapshot "$1") - <<<"$before"
	no_other_instance
	run -0 fetch_names 20
	run -0 lab show "$1"
}

no_other_instance() {
	expect ! -e "/run/plimsoll/$LAB-other"
	expect ! -e "/run/plimsoll/bpf/$LAB-other"
}

@test "a second balancer on the same interface is refused, the first goes on" {
	refuses_second b1 "$LAB-other" 'another'
	says "$(namespace b1)"
}

@test "a second server on the same interface is refused, the first goes on" {
	refuses_second s1 "$LAB-other" 'another'
}

@test "a second instance of the same name is refused, the first goes on" {
	refuses_second b1 "$(namespace b1)" "$(cat "$STATE/b1/plimsoll.pid")"
	refuses_second s1 "$(namespace s1)" "$(cat "$STATE/s1/plimsoll.pid")"
}

@test "who is not root is told so" {
	local machine role

	lab stop b1 s1
	for machine in b1 s1; do
		role=$(role "$machine")
		run -1 inside "$machine" setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$PLIMSOLL" "$role" --config "$STATE/$machine/$role.yaml" --instance "$LAB-other"
		says 'root'
		nothing_left "$machine"
		no_other_instance
	done
}

# without_types PROGRAM ARGUMENTS...: on a kernel that does not describe its types.
without_types() {
	# shellcheck disable=SC2016 # the inner shell's
	inside s1 unshare --mount sh -c 'mount -t tmpfs tmpfs /sys/kernel/btf && exec timeout 20 "$@"' sh "$@" 3>&-
}

@test "a kernel that does not describe its types: the server says what it lacks, and nothing is left" {
	lab stop s1
	run -1 without_types "$PLIMSOLL" server --config "$STATE/s1/server.yaml" --instance "$LAB-other"
	says 'error: cannot load the BPF programs: this kernel does not describe its types: there is no /sys/kernel/btf/vmlinux'
	says 'CONFIG_DEBUG_INFO_BTF'
	nothing_left s1
	no_other_instance
}

@test "an interface that does not exist is named" {
	local machine role

	lab stop b1 s1
	for machine in b1 s1; do
		role=$(role "$machine")
		sed 's/eth0/eth7/' "$STATE/$machine/$role.yaml" >"$BATS_TEST_TMPDIR/$role.yaml"
		run -1 plimsoll_on "$machine" "$role" --config "$BATS_TEST_TMPDIR/$role.yaml" \
			--instance "$LAB-other"
		says 'eth7'
		nothing_left "$machine"
		no_other_instance
	done
}
