# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# The worker on s1, what it knows of its requests, and what the meter says of them. To be loaded behind
# helpers.

WORKER=$LAB_BUILD/worker
LOAD=$LAB_BUILD/load
METER=$(dirname "${BASH_SOURCE[0]}")/meter.py

truth() {
	printf '%s/s1/truth' "$STATE"
}

# Not by inside(): the process to be ended is to be the one that is remembered.

# start_worker ARGUMENTS OF lab/worker...: on s1; its truth is ready when this returns.
start_worker() {
	rm -f "$(truth)"
	ip netns exec "$(namespace s1)" "$WORKER" --name s1 --truth "$(truth)" "$@" </dev/null >"$STATE/s1/worker.log" 2>&1 3>&- &
	echo $! >"$STATE/s1/worker.pid"
	wait_until 5 grep -qw ready "$STATE/s1/worker.log" || fail "$(cat "$STATE/s1/worker.log")"
}

end_worker() { # [SIGNAL]
	local pid

	pid=$(pid_of "$STATE/s1/worker.pid") || return 0
	kill "-${1:-TERM}" "$pid"
	wait_until 5 process_gone "$pid"
}

# compare SECONDS FILTER: meter and truth, by jq.
compare() {
	python3 "$METER" "$(pins)" "$(truth)" "$1" | tee "$BATS_TEST_TMPDIR/compared" |
		jq -r "$2"
}

pins() {
	show s1 .pins
}

metered() { # FIELD
	show s1 ".load.$1"
}

in_flight_is() {
	[ "$(python3 "$METER" "$(pins)")" -eq "$1" ]
}

truth_is() {
	holds "$(compare 0.05 .truth) == $1"
}

# Meter and worker agree on a number, and have a second to come to do so.
both_say() {
	wait_until 1 in_flight_is "$1" || fail "in_flight is $(metered in_flight), not $1"
	holds "$(compare 0.1 .truth) == $1"
}

# worker_load ARGUMENTS OF lab/load...: in the background.
worker_load() {
	ip netns exec "$(namespace c1)" "$LOAD" "$@" </dev/null >"$BATS_TEST_TMPDIR/load.json" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/load.pid"
}

load_over() {
	wait_until 30 process_gone "$(cat "$BATS_TEST_TMPDIR/load.pid")"
}
