#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A start in which one system call fails, or at which somebody presses Ctrl-C: it goes well nevertheless, or
# the daemon says what was wrong; and in the end nothing is left. strace makes the calls fail.

load ../net/helpers

setup_file() {
	open_lab clients=0 servers=1
	[ -n "${LAB:-}" ] || return 0
	lab config
	# Somebody else's instance, so that what all share is there before and after.
	lab start s1
}

is_ready_or_gone() { # PROCESS
	grep -qw ready "$BATS_TEST_TMPDIR/log" || process_gone "$1"
}

# live ROLE CALL FAULT NUMBER: a daemon's life on b1, with the fault in its so-manieth such call, until it is
# ready or ends by itself; then it is ended. The result is its status.
live() {
	local role=$1 call=$2 fault=$3 number=$4 pid child status=0

	: >"$BATS_TEST_TMPDIR/log"
	ip netns exec "$(namespace b1)" strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:$fault:when=$number" \
		"$PLIMSOLL" "$role" --config "$BATS_TEST_TMPDIR/$role.yaml" --instance "$(namespace b1)" \
		>"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	pid=$!
	wait_until 20 is_ready_or_gone "$pid" || fail "neither ready nor gone: $role, $call $number"
	child=$(pgrep -P "$pid") && kill "$child"
	wait "$pid" || status=$?
	return $status
}

# survives ROLE CALL FAULT NUMBERS...: each of them once.
survives() {
	local role=$1 call=$2 fault=$3 number before refused=0

	cp "$STATE/b1/balancer.yaml" "$BATS_TEST_TMPDIR/balancer.yaml"
	sed "s/^balancers: .*/balancers: [$(address s1)]/" "$STATE/s1/server.yaml" >"$BATS_TEST_TMPDIR/server.yaml"
	before=$(snapshot b1)
	for number in "${@:4}"; do
		if ! live "$role" "$call" "$fault" "$number"; then
			refused=$((refused + 1))
			[[ $fault == signal=* ]] || grep -q 'error: ' "$BATS_TEST_TMPDIR/log" || fail "$call $number: ends without a word"
		fi
		diff <(echo "$before") <(snapshot b1) || fail "$call $number: that is left; $(cat "$BATS_TEST_TMPDIR/log")"
	done
	echo "# $role, $call, $fault: of $((${#@} - 3)) starts $refused were refused" >&3
}

@test "the kernel has no memory for a map, a program or a link of the balancer" {
	# shellcheck disable=SC2046 # numbers
	survives balancer bpf error=ENOMEM $(seq 40 5 165)
}

@test "it allows some of that to a server, and some not" {
	# shellcheck disable=SC2046 # likewise
	survives server bpf error=EPERM $(seq 22 4 66)
}

@test "there is no room for files" {
	survives balancer write error=ENOSPC 1 2 3 4 6 7 8
	survives balancer rename error=ENOSPC 1 4 8
	survives balancer symlink error=ENOSPC 1
	survives balancer mkdir error=EROFS 1 2 3
}

@test "Ctrl-C in the middle" {
	# shellcheck disable=SC2046 # likewise
	survives balancer bpf signal=INT $(seq 1 12 165)
	# shellcheck disable=SC2046 # likewise
	survives server bpf signal=INT $(seq 1 9 66)
	survives balancer mkdir signal=TERM 1 2 3
}

# Its release is what setarch makes of it, and it refuses programs as one would that knows not all helpers.
@test "a kernel that is too old: the daemon says so, and nothing is left" {
	local role before

	cp "$STATE/b1/balancer.yaml" "$BATS_TEST_TMPDIR/balancer.yaml"
	sed "s/^balancers: .*/balancers: [$(address s1)]/" "$STATE/s1/server.yaml" >"$BATS_TEST_TMPDIR/server.yaml"
	before=$(snapshot b1)
	for role in balancer server; do
		run -1 ip netns exec "$(namespace b1)" setarch --uname-2.6 strace -qq -o /dev/null -e trace=bpf \
			-e inject=bpf:error=EINVAL:when=30+ "$PLIMSOLL" "$role" --config "$BATS_TEST_TMPDIR/$role.yaml" \
			--instance "$(namespace b1)" 3>&-
		says 'error: cannot load the BPF programs: Linux 2.6.'
		says 'is too old: the oldest on which Plimsoll is tested is 6.1; its programs use bpf_loop() of 5.17'
		diff <(echo "$before") <(snapshot b1)
	done
}
