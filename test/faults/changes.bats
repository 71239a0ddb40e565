#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A system call fails, or a signal comes, in the middle of a takeover or of a reload: it is done, or it is
# as if nobody had begun, and in neither case does a client notice. strace makes it so.

load ../net/helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	snapshot b1 >"$BATS_FILE_TMPDIR/b1"
	snapshot s1 >"$BATS_FILE_TMPDIR/s1"
	lab nginx
	lab config
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2
}

teardown() {
	[ -z "${STRACE:-}" ] || kill "$STRACE" 2>/dev/null || true
	end_client_programs
}

pid_on() { # MACHINE
	pid_of "$STATE/$1/plimsoll.pid"
}

configuration() { # MACHINE
	"$PLIMSOLL" show --config --instance "$(namespace "$1")" 3>&-
}

clients_go_on() {
	fetch_names 4 >"$BATS_TEST_TMPDIR/names" || fail "$1: clients are not served: $(cat "$BATS_TEST_TMPDIR/log")"
}

# ends_well MACHINE WHAT: whoever is there ends in good order, and leaves nothing.
ends_well() {
	[ -z "$(pid_on "$1")" ] || lab stop "$1"
	diff "$BATS_FILE_TMPDIR/$1" <(snapshot "$1") || fail "$2: that is left; $(cat "$BATS_TEST_TMPDIR/log")"
}

# ------------------------------------------------------------------- takeovers

is_ready_or_gone() { # PROCESS
	grep -qw ready "$BATS_TEST_TMPDIR/log" || process_gone "$1"
}

# take_over MACHINE CALL FAULT NUMBER: a successor, with the fault in its so-manieth such call, until it is ready or gone.
take_over() {
	local role child

	role=$(role "$1")
	: >"$BATS_TEST_TMPDIR/log"
	ip netns exec "$(namespace "$1")" strace -qq -o /dev/null -e "trace=$2" -e "inject=$2:$3:when=$4" \
		"$PLIMSOLL" "$role" --takeover --config "$STATE/$1/$role.yaml" --instance "$(namespace "$1")" \
		>"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	STRACE=$!
	wait_until 20 is_ready_or_gone "$STRACE" || fail "$2 $4: neither ready nor gone"
	child=$(pgrep -P "$STRACE") || true
	[ -z "$child" ] || echo "$child" >"$STATE/$1/plimsoll.pid"
}

# stays_or_gone MACHINE PROCESS: one that has been told to go does so.
stays_or_gone() {
	process_gone "$2" || configuration "$1" >"$BATS_TEST_TMPDIR/configuration" 2>&1
}

# goes_on_with MACHINE: whoever comes next has all in hand.
goes_on_with() {
	if [ -n "$(pid_on "$1")" ]; then
		lab takeover "$1"
	else
		lab start "$1"
	fi
}

# survives_takeovers MACHINE CALL FAULT NUMBERS...
survives_takeovers() {
	local before number taken=0 stayed=0 none=0

	for number in "${@:4}"; do
		start_missing b1
		start_missing "$1"
		before=$(pid_on "$1")
		take_over "$1" "$2" "$3" "$number"
		# Who has lost his place by that finds it out.
		[ "$3" != signal=KILL ] || sleep 2
		if [ -n "$(pid_on "$1")" ] && [ "$(pid_on "$1")" != "$before" ]; then
			taken=$((taken + 1))
			wait_until 10 process_gone "$before"
		elif wait_until 10 stays_or_gone "$1" "$before" && kill -0 "$before" 2>/dev/null; then
			stayed=$((stayed + 1))
		else
			none=$((none + 1))
		fi
		# Who was asked to end after it had taken over has ended; who was killed has left the data path.
		if [ -e "/run/plimsoll/bpf/$(namespace "$1")/settings" ]; then
			clients_go_on "$2 $number"
		else
			[ "$3" = signal=INT ] || fail "$2 $number: nothing is there any more"
		fi
		goes_on_with "$1" || fail "$2 $number: nobody can go on with it: $(cat "$STATE/$1/plimsoll.log")"
	done
	echo "# $1, $2, $3: of $((${#@} - 3)) takeovers $taken were made, in $stayed the other one stayed, after $none nobody ran" >&3
	start_missing "$1"
	ends_well "$1" "$2"
}

@test "a system call fails in a takeover" {
	# shellcheck disable=SC2046 # numbers
	survives_takeovers b1 bpf error=ENOMEM $(seq 20 18 200)
	# shellcheck disable=SC2046 # likewise
	survives_takeovers s1 bpf error=ENOMEM $(seq 20 10 90)
	survives_takeovers b1 rename error=ENOSPC 1 4 8
}

# more_services COUNT: in b1's file, behind "web". They have no clients, but rings.
more_services() {
	local number

	for ((number = 1; number <= $1; number++)); do
		echo "  - {name: more$number, address: \"10.77.0.$number:80\", ring_size: 1021, backends: [{address: $(address s1)}]}"
	done >>"$STATE/b1/balancer.yaml"
}

@test "a takeover with many rings takes longer than 10 s, and is made: it gets ahead" {
	local before began

	cp "$STATE/b1/balancer.yaml" "$BATS_TEST_TMPDIR/b1"
	more_services 130
	"$PLIMSOLL" reload --instance "$(namespace b1)" 3>&-
	before=$(pid_on b1)
	began=$SECONDS
	take_over b1 munmap delay_enter=100000 1+
	expect $((SECONDS - began)) -gt 10
	expect "$(pid_on b1)" != "$before"
	clients_go_on 'a slow takeover'
	kill "$STRACE"
	cp "$BATS_TEST_TMPDIR/b1" "$STATE/b1/balancer.yaml"
	lab kill b1
	lab start b1
	ends_well b1 'a slow takeover'
}

@test "Ctrl-C in a takeover" {
	survives_takeovers b1 bpf signal=INT 5 50 150 200
	survives_takeovers s1 bpf signal=INT 5 40 70 90
	survives_takeovers b1 rename signal=INT 1 5
	survives_takeovers b1 pidfd_send_signal signal=INT 1
}

@test "a successor is killed in the middle of it" {
	survives_takeovers b1 bpf signal=KILL 5 50 150 200
	survives_takeovers s1 bpf signal=KILL 5 40 70 90 98
	survives_takeovers b1 rename signal=KILL 1 3 6 9
	survives_takeovers s1 rename signal=KILL 1 3
}

@test "who has lost his place by that goes, and the next one has all in hand" {
	local machine before

	for machine in b1 s1; do
		start_missing b1 s1 s2
		before=$(pid_on "$machine")
		take_over "$machine" pidfd_send_signal signal=KILL 1
		wait_until 10 process_gone "$before" || fail "$machine: still there"
		grep -q 'this one goes; the next one goes on with what is there' "$STATE/$machine/plimsoll.log"
		clients_go_on "$machine"
		lab start "$machine"
	done
	"$PLIMSOLL" drain web "$(address s1)" --instance "$(namespace b1)" 3>&-
	expect "$(fetch_names 10 | sort -u)" = s2
	"$PLIMSOLL" undrain web "$(address s1)" --instance "$(namespace b1)" 3>&-
	ends_well b1 'lost place'
}

# ------------------------------------------------------------------- reloads

# with_fault MACHINE CALL FAULT NUMBER: from here on in the daemon that runs.
with_fault() {
	strace -o /dev/null -p "$(pid_on "$1")" -e "trace=$2" -e "inject=$2:$3:when=$4" 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
	STRACE=$!
	wait_until 5 grep -q attached "$BATS_TEST_TMPDIR/strace"
}

# strace may be about to wait for the daemon just when it is told to let it go, and then does not hear.
let_go() {
	! kill -INT "$STRACE" 2>/dev/null || process_gone "$STRACE"
}

without_fault() {
	wait_until 10 let_go
	STRACE=
}

# other_configuration MACHINE: into its file.
other_configuration() {
	if [ "$1" = b1 ]; then
		sed -i "s/policy: .*/policy: maglev/; s/weight: 1/weight: 3/" "$STATE/b1/balancer.yaml"
		printf '  - {name: more, address: 10.1.0.110:81, backends: [{address: %s}]}\n' "$(address s2)" >>"$STATE/b1/balancer.yaml"
	else
		sed -i "s/^services:/&\n  - {address: 10.1.0.110:81}/; s/^balancers: \[/&10.1.0.99, /" "$STATE/$1/server.yaml"
	fi
}

reload() { # MACHINE
	"$PLIMSOLL" reload --instance "$(namespace "$1")" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&-
}

# What the data path goes by: the balancer's services, without the numbers that they happen to have.
in_kernel() { # MACHINE
	[ "$1" != b1 ] || bpftool -j map dump pinned "/run/plimsoll/bpf/$(namespace b1)/services" |
		jq -Sc 'map(.formatted | del(.value.id)) | sort'
}

# survives_reloads MACHINE CALL FAULT NUMBERS...
survives_reloads() {
	local file number before after in_kernel_before in_kernel_after refused=0

	start_missing b1
	file=$STATE/$1/$(role "$1").yaml
	cp "$file" "$BATS_TEST_TMPDIR/original"
	before=$(configuration "$1")
	in_kernel_before=$(in_kernel "$1")
	other_configuration "$1"
	reload "$1" || fail "refused without a fault: $(cat "$BATS_TEST_TMPDIR/log")"
	after=$(configuration "$1")
	expect "$before" != "$after"
	in_kernel_after=$(in_kernel "$1")
	for number in "${@:4}"; do
		cp "$BATS_TEST_TMPDIR/original" "$file"
		reload "$1" || fail "$2 $number, back: $(cat "$BATS_TEST_TMPDIR/log")"
		other_configuration "$1"
		with_fault "$1" "$2" "$3" "$number"
		if reload "$1"; then
			without_fault
			[ "$(configuration "$1")" = "$after" ] || fail "$2 $number: it is not in force"
			expect "$(in_kernel "$1")" = "$in_kernel_after"
		else
			without_fault
			refused=$((refused + 1))
			grep -q 'nothing has changed' "$BATS_TEST_TMPDIR/log" || fail "$2 $number: $(cat "$BATS_TEST_TMPDIR/log")"
			[ "$(configuration "$1")" = "$before" ] || fail "$2 $number: something has changed"
			expect "$(in_kernel "$1")" = "$in_kernel_before"
		fi
		clients_go_on "reload, $2 $number"
	done
	echo "# $1, $2, $3: of $((${#@} - 3)) reloads $refused were refused" >&3
	cp "$BATS_TEST_TMPDIR/original" "$file"
	reload "$1"
	expect "$(configuration "$1")" = "$before"
	ends_well "$1" "$2"
}

@test "a system call fails in a reload" {
	# shellcheck disable=SC2046 # likewise
	survives_reloads b1 bpf error=ENOMEM $(seq 6 2 50)
	# shellcheck disable=SC2046 # likewise
	survives_reloads s1 bpf error=ENOMEM $(seq 1 3 30)
}

@test "Ctrl-C in a reload: it is made, or not, and all is taken back" {
	local machine number

	for machine in b1 s1; do
		cp "$STATE/$machine/$(role $machine).yaml" "$BATS_TEST_TMPDIR/original"
		for number in 2 9 25; do
			start_missing "$machine"
			other_configuration "$machine"
			with_fault "$machine" bpf signal=INT "$number"
			reload "$machine" || true
			wait_until 10 process_gone "$STRACE"
			STRACE=
			cp "$BATS_TEST_TMPDIR/original" "$STATE/$machine/$(role $machine).yaml"
			ends_well "$machine" "reload, INT $number"
		done
	done
}
