#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Reports that are not true: each is refused, for the right reason, changes nothing, and does not
# arrive at the client. c1 goes by b1, which has a key, as s1 and s2 have; c2 by b2, which has none.
# s3 is in the config and has no agent: reports in its name are made here. s4 is not in the config.

load helpers

setup_file() {
	open_lab clients=2 balancers=2 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config key=yes servers=s1,s2,s3 balancers=b1
	sed -i '/^report_key/d' "$STATE/b2/balancer.yaml"
	lab direct s3
	lab start b1 b2 s1 s2
	join c1 b1
	join c2 b2
	lab wire start
	fetch_names 30 c1
	fetch_names 5 c2
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	wait_until 5 wire_is_quiet
}

# Which balancer the client goes by; and neither has to ask for the other's MAC address.
join() { # CLIENT BALANCER
	ip -n "$(namespace "$1")" neighbour replace "$LAB_VIP" lladdr "$(mac "$2")" dev eth0
	ip -n "$(namespace "$2")" neighbour replace "$(address "$1")" lladdr "$(mac "$1")" dev eth0
}

client_of() {
	echo "c${1:1}"
}

forge() { # MACHINE ARGUMENTS OF forge.py...
	local machine=$1

	shift
	inside "$machine" /usr/bin/python3 "$BATS_TEST_DIRNAME/forge.py" "$@"
}

# forge_report FROM-MACHINE MAC-OF NAMED-SERVER BALANCER [KEY=VALUE...] [-- KEY=VALUE...]...
# One, and another one for each "--".
forge_report() {
	local argument arguments=()
	local start=(report "$(mac "$2")" "$(mac "$4")" "$(address "$3")" "$(address "$(client_of "$4")")")

	for argument in "${@:5}"; do
		arguments+=("$argument")
		[ "$argument" != -- ] || arguments+=("${start[@]}")
	done
	forge "$1" "${start[@]}" "${arguments[@]}"
}

# picture BALANCER: all that a report could change, there and at the client.
picture() {
	lab show "$1" --json | jq -cS --argjson responses "$(wire .responses.packets)" "$JQ_PLAIN_NUMBERS"' | {
		$responses,
		counters: (.counters | del(."not-ours")),
		backends: [.services[0].backends[] | {address, in_flight, utilisation, latency_us,
			accept_queue, reports, pending, connections, state, mac}]
	}'
}

# only_changes BALANCER FILTER COMMAND...: the picture before, changed by jq's FILTER, is that after.
only_changes() {
	local balancer=$1 filter=$2 expected

	shift 2
	expected=$(picture "$balancer" | jq -cS "$filter")
	"$@"
	# What comes late would be missed by a look that is too early.
	sleep 0.1
	wait_until 1 picture_is "$balancer" "$expected" && return
	echo "$*"
	diff <(jq . <<<"$expected") <(picture "$balancer" | jq .)
}

picture_is() {
	[ "$(picture "$1")" = "$2" ]
}

# refused COUNTER NUMBER BALANCER COMMAND...
refused() {
	only_changes "$3" ".counters.\"$1\" += $2" "${@:4}"
}

key() {
	echo "key=$STATE/report.key"
}

# ------------------------------------------------------------------- what is to be believed

@test "with a key: a report that is as it should be is believed, and its packet arrives bare" {
	only_changes b1 '.counters."report-taken" += 1 | .responses += 1 |
		(.backends[] | select(.address == "10.1.0.13")) |= (.reports = 1 | .in_flight = 6666 |
			.utilisation = 1 | .latency_us = 123456 | .accept_queue = 0 | .pending = 0)' \
		forge_report s3 s3 s3 b1 "$(key)" utilisation=65535 latency=123456
	expect "$(wire .options_to_client.packets)" -eq 0
}

@test "without a key: likewise" {
	only_changes b2 '.counters."report-taken" += 1 | .responses += 1 |
		(.backends[] | select(.address == "10.1.0.13")) |= (.reports = 1 | .in_flight = 6666 |
			.utilisation = 1 | .latency_us = 123456 | .accept_queue = 0 | .pending = 0)' \
		forge_report s3 s3 s3 b2 utilisation=65535 latency=123456
	expect "$(wire .options_to_client.packets)" -eq 0
}

# ------------------------------------------------------------------- who says it

@test "a client's report in a server's name is refused" {
	refused report-wrong-source 2 b1 forge_report c1 c1 s1 b1 -- "$(key)"
	refused report-wrong-source 1 b2 forge_report c2 c2 s1 b2
}

@test "a report from a server that is not in the config is refused" {
	refused report-unknown-server 1 b1 forge_report s4 s4 s4 b1 "$(key)"
	refused report-unknown-server 1 b2 forge_report s4 s4 s4 b2
}

@test "a server's report in another's name is refused" {
	refused report-wrong-source 1 b1 forge_report s4 s4 s1 b1 "$(key)"
	refused report-wrong-source 1 b1 forge_report s3 s3 s1 b1 "$(key)"
	refused report-wrong-source 1 b2 forge_report s3 s3 s1 b2
}

@test "with a key: a report by another key is refused, from the server's own MAC address" {
	echo 00112233445566778899aabbccddeeff >"$BATS_TEST_TMPDIR/other.key"
	refused report-wrong-tag 1 b1 forge_report s3 s3 s3 b1 "key=$BATS_TEST_TMPDIR/other.key"
	refused report-wrong-tag 1 b1 forge_report c1 s1 s1 b1 "key=$BATS_TEST_TMPDIR/other.key"
}

@test "with a key: a report without a tag is refused, from the server's own MAC address" {
	refused report-unkeyed 1 b1 forge_report s3 s3 s3 b1
	refused report-unkeyed 1 b1 forge_report c1 s1 s1 b1
}

# refusals BALANCER VERDICT: how many have been told in events.
refusals() {
	inside "$1" curl -sS "http://$LAB_LISTEN/api/v1/events" |
		jq --arg verdict "$2" '[.events[] | select(.kind == "reports-refused" and (.cause | contains("as " + $verdict + " ")))] | length'
}

refusals_are_told() { # BALANCER VERDICT
	[ "$(refusals "$1" "$2")" -ge 1 ]
}

@test "what is refused is in events and log, and not once for each packet" {
	local before

	wait_until 5 refusals_are_told b1 report-unkeyed
	before=$(refusals b1 report-unkeyed)
	for _ in 1 2 3; do
		forge_report s3 s3 s3 b1
		sleep 1.1
	done
	expect "$(refusals b1 report-unkeyed)" -le $((before + 1))
	grep -q 'warning: packets with reports dropped as report-unkeyed (report without a tag' "$STATE/b1/plimsoll.log"
}

# ------------------------------------------------------------------- how it is made

@test "a report of another version, or with a length that does not fit, is refused" {
	refused report-malformed 5 b1 forge_report s3 s3 s3 b1 "$(key)" version=2 -- \
		"$(key)" length=24 -- "$(key)" flags=0 -- "$(key)" size=24 -- "$(key)" size=36
	refused report-malformed 4 b2 forge_report s3 s3 s3 b2 version=0 -- length=32 -- flags=8 -- size=28
}

@test "an option that is cut off, or another experiment's, is none of ours" {
	only_changes b1 . forge_report s3 s3 s3 b1 "$(key)" size=8 -- "$(key)" magic=0xB6
	only_changes b2 . forge_report s3 s3 s3 b2 size=20 -- magic=0
}

# ------------------------------------------------------------------- true ones, used again

@test "a true report, sent again by the client, changes nothing" {
	local before old

	capture_carrier
	before=$(loads b1)
	old=$(counter b1 report-old)
	forge c1 replay "$BATS_TEST_TMPDIR/carrier.pcap"
	wait_until 2 counter_is b1 report-old "$((old + 1))"
	expect "$(loads b1)" = "$before"
	traffic_goes_on
}

# Its packet goes on to the client, who may answer to what it has long forgotten: only what reports
# change is looked at.
loads() {
	picture "$1" | jq -cS '.backends, (.counters | del(.forwarded, ."report-old"))'
}

@test "a true report for another client, or with another load, is refused" {
	capture_carrier
	refused report-wrong-tag 2 b1 forge c1 replay "$BATS_TEST_TMPDIR/carrier.pcap" \
		"client=$(address c2)" -- replay "$BATS_TEST_TMPDIR/carrier.pcap" in_flight=6666
	traffic_goes_on
}

capture_carrier() {
	capture switch b1 "$BATS_TEST_TMPDIR/carrier.pcap" -s 0 'ip and ip[0] != 0x45' 3>&-
	fetch_names 20 >/dev/null
	capture_end "$BATS_TEST_TMPDIR/carrier.pcap"
	expect "$(captured "$BATS_TEST_TMPDIR/carrier.pcap")" -gt 0
	wait_until 5 wire_is_quiet
}

# The switch has seen a server's MAC address where the client is; the server soon speaks again.
traffic_goes_on() {
	wait_until 5 all_answer
}

all_answer() {
	[ "$(inside c1 curl -s --max-time 2 -H 'Connection: close' "http://$LAB_VIP/name?[1-20]" | wc -l)" -eq 20 ]
}

# ------------------------------------------------------------------- towards the service

@test "our option on a client's packets is ignored: it gets its page, nobody's load changes" {
	local before forwarded connections

	before=$(reported b2)
	run -0 forge c2 request "$LAB_VIP"
	says '200 OK'
	[[ $output =~ s[123]$ ]]
	expect "$(reported b2)" = "$before"
	forwarded=$(counter b1 forwarded)
	connections=$(show b1 '[.services[0].backends[].connections] | add')
	run -0 forge c1 request "$LAB_VIP"
	says '200 OK'
	expect "$(counter b1 forwarded)" -ge $((forwarded + 4))
	wait_until 5 connections_are $((connections + 1))
	expect "$(backend s1 .in_flight)" -lt 6666
}

# What was counted is looked at now and then.
connections_are() { # NUMBER
	[ "$(show b1 '[.services[0].backends[].connections] | add')" -eq "$1" ]
}

# Nothing but what reports have a part in; what is pending changes with each connection.
reported() {
	picture "$1" | jq -cS '(.counters | del(.forwarded)), (.backends[] | del(.connections, .pending, .state))'
}
