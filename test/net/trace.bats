#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Why packets went where they went: `plimsoll trace` and `plimsoll where` say what really happens.

load helpers

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	# What is foretold has to hold until it is tried: no report becomes stale meanwhile, no weight moves.
	lab config stale_after=60s
	sed -i 's/^    feedback: .*/&\n    weights: configured/' "$STATE/b1/balancer.yaml"
	lab start all
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
	TRACE=$BATS_TEST_TMPDIR/trace
}

plimsoll() {
	"$PLIMSOLL" "$1" --instance "$(namespace b1)" "${@:2}"
}

# trace_start [ARGUMENTS...]: in the background, until trace_end; its lines are in $TRACE.
trace_start() {
	"$PLIMSOLL" trace --instance "$(namespace b1)" "$@" >"$TRACE" 2>"$TRACE.errors" 3>&- &
	TRACER=$!
	wait_until 5 is_tracing
}

trace_end() {
	kill -TERM "$TRACER" 2>/dev/null || true
	wait "$TRACER"
}

# Whatever a test that failed has left.
teardown() {
	[ -z "${TRACER:-}" ] || kill -KILL "$TRACER" 2>/dev/null || true
	end_client_programs
}

# The byte in `settings` that the data path goes by: behind two words, a key and four interfaces.
is_tracing() {
	local pins

	pins=/run/plimsoll/bpf/$(namespace b1)
	[ "$("$(bpftool_path)" -j map dump pinned "$pins/settings" | jq '.[0].formatted.value.tracing')" = 1 ]
}

bpftool_path() {
	command -v bpftool || echo /usr/sbin/bpftool
}

not_tracing() {
	! is_tracing
}

lines() { # PATTERN
	grep -c -- "$1" "$TRACE"
}

fetch_from() { # PORT
	inside c1 curl -sS --fail --max-time 20 --local-port "$1" "http://$LAB_VIP/name"
}

server_at() { # ADDRESS
	local machine

	for machine in $(machines s); do
		[ "$(address "$machine")" != "$1" ] || echo "$machine"
	done
}

@test "a new flow is told with its candidates, and goes where the trace says" {
	local name took

	fetch_names 40 >/dev/null
	trace_start --json --verdict forwarded
	name=$(fetch name)
	trace_end
	took=$(jq -r 'select(.flow == "new") | .backend' "$TRACE")
	expect "$(server_at "$took")" = "$name"
	expect "$(jq -s '[.[] | select(.flow == "known" and .service == "web")] | length >= 3' "$TRACE")" = true
	jq -se --arg took "$took" 'map(select(.flow == "new")) | length == 1 and (.[0].candidates | any(.backend == $took))
		and (.[0].reason | test("^new flow, .*, took " + $took + "$"))' "$TRACE"
	expect "$(tail -n 1 "$TRACE" | jq .no_room)" -eq 0
}

@test "where there is one backend, it is looked at once" {
	local backend

	for backend in 10.1.0.12 10.1.0.13 10.1.0.14; do plimsoll remove web "$backend"; done
	fetch_names 5 >/dev/null
	trace_start --json --verdict forwarded
	fetch name >/dev/null
	trace_end
	for backend in 10.1.0.12 10.1.0.13 10.1.0.14; do plimsoll add web "$backend"; done
	expect "$(jq -sc 'map(select(.flow == "new") | [.looked_at, .backend])' "$TRACE")" = '[[1,"10.1.0.11"]]'
}

@test "reports say what they said" {
	trace_start --verdict reports
	fetch_names 20 >/dev/null
	trace_end
	expect "$(lines ' report-taken web 10\.1\.0\.201:.* report believed, .* server 10\.1\.0\.1[1-4], sequence ')" -gt 0
	expect "$(lines forwarded)" -eq 0
}

@test "drops come with their reason" {
	trace_start --drops
	fetch name >/dev/null
	inside c1 /usr/bin/python3 - "$LAB_VIP" <<-'END'
		import socket, struct, sys
		raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		to = socket.inet_aton(sys.argv[1])
		head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28, 7, 0x2003, 64, 6, 0, b'\0' * 4, to)
		raw.sendto(head + bytes(8), (sys.argv[1], 0))
	END
	wait_until 5 lines fragment-unknown
	trace_end
	expect "$(wc -l <"$TRACE")" -eq 1
	expect "$(lines ' fragment-unknown .*: fragment of a packet whose first fragment has not been seen$')" -eq 1
}

@test "filters by client, backend and count" {
	trace_start --client 10.1.0.0/24 --count 3
	fetch name >/dev/null
	wait "$TRACER"
	expect "$(wc -l <"$TRACE")" -eq 3
	trace_start --client 10.1.0.202
	fetch name >/dev/null
	trace_end
	expect "$(wc -l <"$TRACE")" -eq 0
	trace_start --backend 10.1.0.12 --verdict forwarded
	fetch_names 20 >"$BATS_TEST_TMPDIR/names"
	trace_end
	expect "$(lines 'new flow')" -eq "$(grep -c s2 "$BATS_TEST_TMPDIR/names")"
}

@test "a capture shows packets as they came in and went out" {
	local capture=$BATS_TEST_TMPDIR/trace.pcapng

	trace_start --pcap "$capture"
	fetch_names 10 >/dev/null
	trace_end
	tshark -r "$capture" -T fields -E separator=' ' -e frame.interface_name -e ip.hdr_len -e eth.dst \
		-e frame.comment >"$TRACE.fields" 2>/dev/null
	expect "$(grep -c '^in 20 02:00:00:00:0b:01 .*forwarded' "$TRACE.fields")" -gt 10
	expect "$(grep -c '^out 20 02:00:00:00:05:0[1-4] .*forwarded' "$TRACE.fields")" -gt 10
	expect "$(grep -c '^in 44 .*report-taken' "$TRACE.fields")" -gt 0
	expect "$(grep -c '^out 20 .*report-taken' "$TRACE.fields")" -eq "$(grep -c '^in 44 .*report-taken' "$TRACE.fields")"
	expect "$(captured "$capture")" -eq "$(wc -l <"$TRACE.fields")"
}

# As if it were slow: everything happens while it sleeps.
@test "what happened before the end is told, however late the tracer reads it" {
	trace_start --verdict forwarded
	kill -STOP "$TRACER"
	fetch name >/dev/null
	kill -TERM "$TRACER"
	kill -CONT "$TRACER"
	wait "$TRACER"
	expect "$(lines 'forwarded web')" -gt 0
	not_tracing
}

@test "Ctrl-C ends it, and leaves nothing on" {
	trace_start
	kill -INT "$TRACER"
	wait "$TRACER"
	not_tracing
	expect "$(grep -c '^plimsoll trace: .* packets told; not told: ' "$TRACE.errors")" -eq 1
}

@test "a sample is a part" {
	trace_start --sample 1/20 --verdict forwarded
	fetch_names 100 >/dev/null
	trace_end
	expect "$(lines forwarded)" -gt 0
	expect "$(lines forwarded)" -lt 200
}

@test "one traces at a time; a second one is told who does" {
	trace_start
	run -1 plimsoll trace
	says "process $TRACER traces instance $(namespace b1) already"
	run -1 plimsoll trace --json
	expect "$(jq -r .error <<<"$output" | grep -c "process $TRACER")" -eq 1
	trace_end
}

@test "a tracer that is killed is forgotten" {
	trace_start
	kill -KILL "$TRACER"
	wait_until 10 eval 'fetch name >/dev/null && not_tracing'
	trace_start --count 1
	fetch name >/dev/null
	wait "$TRACER"
}

@test "it goes on when the daemon is killed, and begins without it" {
	trace_start --verdict forwarded
	lab kill b1
	fetch name >/dev/null
	trace_end
	expect "$(lines 'forwarded web')" -gt 0
	trace_start --verdict forwarded --service "$LAB_VIP:80"
	fetch name >/dev/null
	trace_end
	expect "$(lines "forwarded $LAB_VIP:80")" -gt 0
	lab start b1
}

@test "what cannot be is refused with what could" {
	run -1 plimsoll trace --service wrong
	says 'there is no service "wrong" on this balancer; there are: web'
	run -1 plimsoll trace --backend 10.1.0.99
	says '"10.1.0.99" is no backend here'
	run -2 plimsoll trace --verdict dropped
	says '--verdict: "dropped" names no verdict'
	run -2 plimsoll trace --client 10.1.0.0/40
	says '--client: "10.1.0.0/40" has no prefix length'
	run -1 "$PLIMSOLL" trace --instance "$(namespace s1)"
	says 'that instance is a server'
}

# ------------------------------------------------------------------- where

@test "where foretells what the next connection from that port gets" {
	local port told

	start_missing b1
	fetch_names 40 >/dev/null
	for port in 41001 41002 41003 41004 41005 41006; do
		told=$(plimsoll where "10.1.0.201:$port" web --json)
		expect "$(jq -r .flow <<<"$told")" = new
		expect "$(server_at "$(jq -r .backend <<<"$told")")" = "$(fetch_from "$port")"
	done
	run -0 plimsoll where 10.1.0.201:41007 web
	[[ $output =~ ^10\.1\.0\.1[1-4]' would get it: new flow, ' ]]
}

@test "where knows the backend that a connection has" {
	local name

	inside c1 /usr/bin/python3 - "$LAB_VIP" "$BATS_TEST_TMPDIR/name" <<-'END' 3>&- &
		import http.client, sys, time
		connection = http.client.HTTPConnection(sys.argv[1], source_address=('', 41100))
		connection.request('GET', '/name')
		open(sys.argv[2], 'w').write(connection.getresponse().read().decode())
		time.sleep(20)
	END
	wait_until 5 test -s "$BATS_TEST_TMPDIR/name"
	name=$(<"$BATS_TEST_TMPDIR/name")
	run -0 plimsoll where 10.1.0.201:41100 "$LAB_VIP:80"
	[[ $output =~ ^(10\.1\.0\.1[1-4])' has it: flow known'$ ]]
	expect "$(server_at "${BASH_REMATCH[1]}")" = "$name"
}

@test "where refuses what it cannot answer, also in JSON" {
	run -1 plimsoll where '[fd00::1]:4000' web
	says 'web is reached by IPv4, and that client is one of IPv6'
	run -2 plimsoll where 10.1.0.201 web
	says '"10.1.0.201" is no end of a connection'
	run -1 plimsoll where 10.1.0.201:1 wrong --json
	expect "$(jq -r .error <<<"$output")" = 'there is no service "wrong" on this balancer; there are: web'
}
