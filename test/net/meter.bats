#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a server says of its load, against those who know: in_flight against the worker's own count
# (lab/worker), whatever becomes of the connections; the rest against the kernel's own figures.

load helpers
load worker

setup_file() {
	open_lab clients=1 servers=1
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	lab config
}

teardown() {
	[ -n "${LAB:-}" ] || return 0
	end_client_programs
	end_worker
	inside switch nft delete table netdev loss 2>/dev/null || true
	lab stop all
}

teardown_file() {
	[ -z "${LAB:-}" ] || lab down
}

# ------------------------------------------------------------------- clients

# hold COUNT [hold|idle]: connections of c1 that ask and wait; ends with its process.
hold() {
	mkfifo "$BATS_TEST_TMPDIR/never"
	ip netns exec "$(namespace c1)" python3 "$BATS_TEST_DIRNAME/flood.py" "${2:-hold}" "$LAB_VIP:80" "$1" \
		<>"$BATS_TEST_TMPDIR/never" >"$BATS_TEST_TMPDIR/held" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/hold.pid"
	wait_until 10 grep -qx "$1" "$BATS_TEST_TMPDIR/held" || fail "$(cat "$BATS_TEST_TMPDIR/held")"
}

flood() {
	inside c1 timeout 60 python3 "$BATS_TEST_DIRNAME/flood.py" "$@" 3>&-
}

within() { # PERCENT FILTER OF compare'S
	holds "($2) * 100 < $1 && ($2) * 100 > -$1"
}

# ------------------------------------------------------------------- in_flight

@test "in_flight is the worker's own count under load, and 0 afterwards" {
	local error

	start_worker --workers 16 --mean 100ms
	lab start all
	worker_load --closed 48 --duration 6s
	sleep 2
	error=$(compare 4 .error)
	cat "$BATS_TEST_TMPDIR/compared"
	holds "$(jq .truth "$BATS_TEST_TMPDIR/compared") > 24"
	within 1 "$error"
	load_over
	both_say 0
	expect "$(metered swept)" -eq 0
}

@test "requests and answers that are lost and come again count once" {
	local error machine

	start_worker --workers 64 --mean 100ms
	lab start all
	for machine in c1 s1; do
		inside switch nft -f - <<-END
			add table netdev loss
			add chain netdev loss $machine { type filter hook ingress device $machine priority 0; }
			add rule netdev loss $machine ip protocol tcp numgen random mod 100 < 5 drop
		END
	done
	worker_load --closed 96 --duration 8s
	sleep 3
	error=$(compare 4 .error)
	inside switch nft delete table netdev loss
	cat "$BATS_TEST_TMPDIR/compared"
	expect "$(retransmitted s1 c1)" -gt 20
	within 1 "$error"
	load_over
	both_say 0
	expect "$(metered swept)" -eq 0
}

# What becomes of their requests is the server's to decide: nginx drops them, the worker goes on.
@test "clients killed in the middle of requests" {
	start_worker --workers 64 --mean 6s --distribution fixed
	lab start all
	hold 60
	both_say 60
	kill -9 "$(cat "$BATS_TEST_TMPDIR/hold.pid")"
	sleep 0.5
	both_say 60
	wait_until 8 truth_is 0
	both_say 0
	expect "$(metered swept)" -eq 0
}

@test "a storm of resets" {
	start_worker --workers 16 --mean 2s --distribution fixed
	lab start all
	flood reset "$LAB_VIP:80" 1000
	both_say 0
	expect "$(metered connections)" -eq 1000
	holds "$(metered penalty) == 0"
}

@test "a flood of SYNs, with requests in the middle of it" {
	start_worker --workers 64 --mean 60s --distribution fixed
	lab start all
	hold 100
	flood syn "$LAB_VIP:80" "$(mac b1)" 60000
	both_say 100
	end_worker KILL
	wait_until 1 in_flight_is 0 || fail "$(metered in_flight)"
	expect "$(metered evicted)" -eq 0
	expect "$(metered connections)" -ge 59000
}

@test "idle connections are not requests" {
	start_worker --workers 1 --mean 1ms
	lab start all
	hold 200 idle
	both_say 0
}

@test "a server killed in the middle of requests" {
	start_worker --workers 64 --mean 60s --distribution fixed
	lab start all
	hold 100
	both_say 100
	end_worker KILL
	wait_until 1 in_flight_is 0 || fail "$(metered in_flight)"
	expect "$(metered resets)" -ge 0
}

@test "a table far too small for what goes on" {
	echo 'meter_entries: 64' >>"$STATE/s1/server.yaml"
	start_worker --workers 64 --mean 300ms
	lab start all
	worker_load --closed 200 --duration 4s
	sleep 3
	holds "$(metered in_flight) <= 64"
	holds "$(metered evicted) > 0"
	load_over
	wait_until 1 in_flight_is 0 || fail "$(metered in_flight)"
}

@test "the agent killed and started again in the middle of traffic" {
	start_worker --workers 16 --mean 100ms
	lab start all
	worker_load --closed 48 --duration 9s
	sleep 2
	lab kill s1
	sleep 0.5
	lab start s1
	sleep 1
	within 1 "$(compare 2 .error)"
	load_over
	both_say 0
}

@test "the agent stopped and started again in the middle of traffic" {
	start_worker --workers 16 --mean 100ms
	lab start all
	worker_load --closed 48 --duration 9s
	sleep 2
	lab stop s1
	sleep 0.5
	lab start s1
	sleep 1
	within 1 "$(compare 2 .error)"
	load_over
	both_say 0
}

# The programs are gone while answers and ends pass by; nothing tells of them but the sockets.
@test "requests that end while nobody looks are found by their sockets, long ones stay" {
	start_worker --workers 64 --mean 60s --distribution fixed
	lab start all
	hold 50
	both_say 50
	keep_off s1
	tc_detach s1 egress
	tc_detach s1 ingress
	end_worker KILL
	wait_until 4 in_flight_is 0 || fail "$(metered in_flight)"
	expect "$(metered swept)" -eq 50
}

@test "a long request is not swept" {
	start_worker --workers 64 --mean 60s --distribution fixed
	lab start all
	hold 50
	sleep 4
	both_say 50
	expect "$(metered swept)" -eq 0
}

# ------------------------------------------------------------------- latency, accept queue, CPU

# average SECONDS FIELD: of what a report would tell, each for as long as it stood: a busy machine lets us look
# when it is less busy.
average() {
	local until=$((SECONDS + $1))

	while [ $SECONDS -lt "$until" ]; do
		echo "$(metered "$2") $EPOCHREALTIME"
		sleep 0.05
	done | awk 'NR > 1 { sum += value * ($2 - at); all += $2 - at } { value = $1; at = $2 } END { print sum / all }'
}

# latency_at CLIENTS: what is told, and what the worker knows, while so many ask. Result: told, known.
latency_at() {
	worker_load --closed "$1" --duration 9s
	sleep 5
	compare 2 .latency_us >"$BATS_TEST_TMPDIR/known" &
	told=$(average 2 latency_us)
	wait $!
	known=$(cat "$BATS_TEST_TMPDIR/known")
	load_over
	echo "$1 at a time: told $told us, known $known us"
	holds "$told > 0.95 * $known && $told < 1.05 * $known"
}

# Each time nothing of the time before may be left.
@test "latency is what the worker measures, at the in-flight of now" {
	local told known

	start_worker --workers 16 --mean 200ms --distribution fixed
	# A worker that waits for a CPU counts from later than the meter.
	chrt --all-tasks --fifo --pid 5 "$(pid_of "$STATE/s1/worker.pid")"
	lab start all
	latency_at 3
	latency_at 96
	holds "$told > 800000"
	latency_at 3
	holds "$told < 300000"
}

@test "the accept queue is what ss shows" {
	local queued room told

	lab nginx
	lab start all
	ss_queue() { inside s1 ss -Hltn 'sport = :80' | awk '{ print $2, $3 }'; }
	pkill_workers STOP
	hold 1000 idle
	fetch name --max-time 1 || true
	sleep 0.3
	fetch name --max-time 1 || true
	read -r queued room <<<"$(ss_queue)"
	told=$(metered accept_queue)
	pkill_workers CONT
	echo "ss: $queued of $room, told: $told"
	expect "$queued" -ge 1000
	holds "$told - $queued / $room < 2 / $room && $queued / $room - $told < 2 / $room"
}

# pkill_workers SIGNAL: to the nginx worker of s1.
pkill_workers() {
	local pid

	for pid in $(ip netns pids "$(namespace s1)"); do
		case $(tr '\0' ' ' <"/proc/$pid/cmdline") in
		'nginx: worker'*) kill "-$1" "$pid" ;;
		esac
	done
}

# busy: the share of all CPUs' time since the last call that was not idle, by the kernel's own books.
cpu_times() {
	awk '/^cpu / { idle = $5 + $6; for (i = 2; i <= 9; i++) all += $i; print all, idle }' /proc/stat
}

utilisation_agrees() {
	local all idle all_before idle_before told

	read -r all_before idle_before < <(cpu_times)
	told=$(average 5 utilisation)
	read -r all idle < <(cpu_times)
	echo "told $told, /proc/stat: all $((all - all_before)), idle $((idle - idle_before))"
	awk -v told="$told" -v all="$((all - all_before))" -v idle="$((idle - idle_before))" \
		'BEGIN { off = told - (1 - idle / all); exit !(off < 0.03 && off > -0.03) }'
}

@test "utilisation is that of /proc/stat, within 3 points" {
	lab nginx
	lab start all
	load_start duration=20 connections=4 path=/10k
	sleep 2
	# What else goes on here may have begun or ended in the middle of the first.
	utilisation_agrees || utilisation_agrees || utilisation_agrees
}

# ------------------------------------------------------------------- the application's own load

told_application() {
	[ "$(show s1 ".load.application | . == null or (. * 1000 | round)")" = "$1" ]
}

tell() {
	"$PLIMSOLL" load "$@" --instance "$(namespace s1)"
}

@test "an application's own load holds until it expires, and reaches the balancer" {
	lab nginx
	lab start all
	expect "$(metered application)" = null
	run -0 tell "$LAB_VIP:80" 0.7 --for 2s
	holds "$(metered application) > 0.6999 && $(metered application) < 0.7001"
	run -0 fetch_names 20
	holds "$(backend s1 .utilisation) > 0.6999 && $(backend s1 .utilisation) < 0.7001"
	sleep 2.1
	expect "$(metered application)" = null
	lab kill s1
	lab start s1
	run -0 tell "$LAB_VIP:80" 0 --for 60s
	holds "$(metered application) == 0"
}

@test "of several services' loads the highest stands" {
	cat >>"$STATE/s1/server.yaml" <<-END
		  - address: $LAB_VIP:81
		    name: other
	END
	lab start all
	run -0 tell "$LAB_VIP:80" 0.5
	run -0 tell other 0.3
	holds "$(metered application) > 0.4999"
	run -0 tell other 0.8 --for 1s
	holds "$(metered application) > 0.7999"
	run -0 tell "$LAB_VIP:80" 0.5
	holds "$(metered application) > 0.7999"
	run -0 tell other 0.1
	holds "$(metered application) < 0.1001"
}

@test "what cannot be told is refused in words" {
	lab start all
	run -2 tell
	says 'SERVICE is missing'
	run -2 tell "$LAB_VIP:80" 1.1
	says '"1.1" is no load'
	run -2 tell "$LAB_VIP:80" nan
	run -2 tell "$LAB_VIP:80" 0.5x
	run -2 tell "$LAB_VIP:80" 0.5 --for 10
	says '"10" is no time'
	run -2 tell "$LAB_VIP:80" 0.5 --until 10
	run -1 tell nobody 0.5
	says "there is no service \"nobody\""
	says "$LAB_VIP:80"
	run -1 "$PLIMSOLL" load web 0.5 --instance "$(namespace b1)"
	says "instance $(namespace b1) is no server"
}

@test "--json: what has been told, and why not" {
	lab start all
	run -0 tell "$LAB_VIP:80" 0.5 --for 10s --json
	expect "$(jq -c "$JQ_PLAIN_NUMBERS" <<<"$output")" = "{\"service\":\"$LAB_VIP:80\",\"load\":0.5,\"holds_seconds\":10}"
	run -1 tell nobody 0.5 --json
	expect "$(jq -r .error <<<"$output")" = \
		"there is no service \"nobody\" on this server; there are: $LAB_VIP:80"
	run -1 "$PLIMSOLL" load web 0.5 --json --instance "$(namespace b1)"
	[[ $(jq -r .error <<<"$output") == *'no server'* ]]
	run -1 --separate-stderr "$PLIMSOLL" load web 0.5 --json --instance none
	[[ $(jq -r .error <<<"$output") == *none* ]]
}
