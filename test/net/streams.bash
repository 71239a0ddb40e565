# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Stories under connections of which every byte is known (lab/stream): begin, do something, verdict.
# To be loaded behind helpers.

STREAM=$LAB_BUILD/stream
STEADY_LIVE=${STEADY_LIVE:-2000}
STEADY_NEW=${STEADY_NEW:-500}
# Nothing here is decided by how fast it goes: this long may a machine that does something else, too,
# keep a connection waiting.
STEADY_PATIENCE=20s

# streams_serve: the peer on all servers.
streams_serve() {
	local machine

	for machine in $(machines s); do
		setsid ip netns exec "$(namespace "$machine")" "$STREAM" serve --name "$machine" \
			</dev/null >"$STATE/$machine/stream.log" 2>&1 3>&- &
		wait_until 5 grep -qs ready "$STATE/$machine/stream.log" || fail "no peer on $machine"
	done
}

# streams_begin [ARGUMENTS OF stream ask...]: comes back when all connections have been answered.
streams_begin() {
	ip netns exec "$(namespace c1)" "$STREAM" ask --live "$STEADY_LIVE" --new "$STEADY_NEW" --patience "$STEADY_PATIENCE" "$@" \
		>"$BATS_TEST_TMPDIR/streams" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/streams.pid"
	wait_until 60 grep -q started "$BATS_TEST_TMPDIR/streams" || fail_to_begin
}

fail_to_begin() {
	cat "$BATS_TEST_TMPDIR/streams"
	inside c1 ss -tan | awk '{ count[$1]++ } END { for (state in count) print state, count[state] }'
	lab show b1
	streams_end
	fail "not all connections have been answered: $(figure .)"
}

# streams_end: afterwards figure() tells. Every connection is brought to its end, which takes a while.
streams_end() {
	kill "$(cat "$BATS_TEST_TMPDIR/streams.pid")"
	wait_until 60 process_gone "$(cat "$BATS_TEST_TMPDIR/streams.pid")" || fail 'the streams do not end'
	figure '.' || fail "$(cat "$BATS_TEST_TMPDIR/streams")"
}

# figure FILTER: of what came out.
figure() {
	tail -n 1 "$BATS_TEST_TMPDIR/streams" | jq -c "$1"
}

# streams_unharmed STORY: nothing was broken, and nothing is wrong; kept in build/steady/.
streams_unharmed() {
	streams_end
	mkdir -p "$ROOT/build/steady"
	figure "{\"$1\": .}" >"$ROOT/build/steady/$1.json"
	grep '^broken' "$BATS_TEST_TMPDIR/streams" || true
	expect "$(figure .new)" -gt $((STEADY_NEW / 2))
	expect "$(figure .broken)" -eq 0
	expect "$(figure .wrong_bytes)" -eq 0
}

# A step takes effect while much goes on, and something goes on after it.
settle() {
	sleep "${STEADY_SETTLE:-1}"
}
