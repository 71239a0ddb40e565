#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The Wireshark dissector, in tshark: on reports as doc/wire-format.md writes them, and on what the
# lab's wires carry.

load helpers

DISSECTOR=$BATS_TEST_DIRNAME/../../packaging/wireshark/plimsoll.lua
KEY=000102030405060708090a0b0c0d0e0f
BODY=0a01000b010203040007800018340100000003e8
PLAIN=5e18b710$BODY
KEYED=5e20b718${BODY}7fdfb5e9eb65d42b

setup_file() {
	open_lab clients=1 servers=2
	lab nginx
	lab config key=yes
	lab start all
	# The directory of the checkout may be closed to whom tshark runs as.
	install -m 644 "$DISSECTOR" "$STATE/plimsoll.lua"
}


# made OPTION...: a capture of packets that bear these.
made() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/wireshark.py" "$BATS_TEST_TMPDIR/made.pcap" "$@" 2>/dev/null
}

# read_capture FILE KEY FILTER FIELD...: a line for each packet.
read_capture() {
	local file=$1 key=$2 filter=$3 field fields=()

	shift 3
	for field in "$@"; do
		fields+=(-e "$field")
	done
	# From 4.4 on it runs nobody's Lua as root.
	HOME=/nonexistent setpriv --reuid=nobody --regid=nogroup --clear-groups \
		tshark -X "lua_script:$STATE/plimsoll.lua" -o "plimsoll.key:$key" -r - -Y "$filter" -T fields \
		-E separator=' ' "${fields[@]}" <"$file" 2>/dev/null
}

made_reads() { # KEY FILTER FIELD...
	read_capture "$BATS_TEST_TMPDIR/made.pcap" "$@"
}

@test "every field of the written-out reports, in IPv4 and in IPv6" {
	local all=(server_id sequence in_flight utilisation latency_us accept_queue connections_seen)

	made "4:$PLAIN" "4:$KEYED" "6:1e16b710$BODY"
	run -0 made_reads "$KEY" plimsoll "${all[@]/#/plimsoll.}"
	expect "${#lines[@]}" -eq 3
	for line in "${lines[@]}"; do
		expect "$line" = '10.1.0.11 16909060 7 0.500008 8400 0.00390631 1000'
	done
	expect "$(made_reads "$KEY" 'plimsoll.in_flight == 7 && ipv6' frame.number)" -eq 3
	expect "$(made_reads "$KEY" plimsoll.flags.keyed==1 plimsoll.tag)" = 7fdfb5e9eb65d42b
}

@test "flags and the ends of the ranges" {
	made 4:5e18b7170a01000b01020304ffffffffffffffffffffffff
	run -0 made_reads '' plimsoll plimsoll.flags.keyed plimsoll.flags.draining plimsoll.flags.application \
		plimsoll.flags.restarted plimsoll.in_flight plimsoll.utilisation plimsoll.latency_us
	# From Wireshark 4.4 on a flag is a word.
	output=$(sed 's/False/0/g; s/True/1/g' <<<"$output")
	expect "$output" = "0 1 1 1 65535 1 4396972769280"
}

@test "tags: right, wrong, and not to be checked without a key" {
	made "4:$KEYED" "4:${KEYED%?}c"
	expect "$(made_reads "$KEY" plimsoll plimsoll.tag.state | xargs)" = '1 0'
	expect "$(made_reads "$KEY" plimsoll.wrong_tag frame.number)" = 2
	expect "$(made_reads '' plimsoll plimsoll.tag.state | xargs)" = '2 2'
}

@test "what is wrong is marked, and other experiments are left alone" {
	made "4:5e18b720$BODY" "4:5e18b718$BODY" "4:5e20b710${BODY}0000000000000000" "4:5e181110$BODY" "4:5e04b710" \
		"6:1e04b7100a01"
	expect "$(made_reads '' plimsoll.wrong_version frame.number)" = 1
	expect "$(made_reads '' plimsoll.wrong_length frame.number | xargs)" = '2 3 5 6'
	expect "$(made_reads '' plimsoll.in_flight frame.number)" = ''
	expect "$(made_reads '' 'frame.number == 4' plimsoll.magic)" = ''
}

@test "polls, and the report in an answer" {
	made poll:b711000000000007 "poll:b712000000000007$PLAIN" "poll:b712000000000007${PLAIN%????}"
	run -0 made_reads '' plimsoll_poll plimsoll_poll.kind plimsoll_poll.number plimsoll.latency_us
	expect "${lines[0]}" = '1 7 '
	expect "${lines[1]}" = '2 7 8400'
	expect "$(made_reads '' plimsoll.wrong_length frame.number)" = 3
}

# record_reports FILE FILTER URLS: what the servers write when these are asked for, at the balancer's port.
record_reports() {
	local before

	before=$(stamped s1 s2)
	inside switch tcpdump -Z root -U -n -i b1 -w "$1" -Q out "$2" 2>"$1.log" 3>&- &
	wait_until 5 grep -qs 'listening on' "$1.log"
	inside c1 curl -sS --fail --max-time 60 -H 'Connection: close' "$3" >/dev/null
	wait_until 5 test "$(($(stamped s1 s2) - before))" -gt 4
	sleep 1.1
	kill $!
	wait $! || true
	expect "$(captured "$1")" -gt 4
}

@test "all that the lab's servers write is understood, and its tags are right" {
	local capture=$BATS_TEST_TMPDIR/lab.pcap key

	key=$(<"$STATE/report.key")
	record_reports "$capture" 'ip and ip[0] != 0x45' "http://$LAB_VIP/name?[1-40]"
	expect "$(read_capture "$capture" "$key" plimsoll.tag.state==1 frame.number | wc -l)" -eq "$(captured "$capture")"
	expect "$(read_capture "$capture" "$key" plimsoll plimsoll.server_id | sort -u | xargs)" = \
		"$(address s1) $(address s2)"
	expect "$(read_capture "$capture" "$key" 'plimsoll.connections_seen > 40 || plimsoll.wrong_length' frame.number)" = ''
	expect "$(read_capture "$capture" "$KEY" plimsoll.wrong_tag frame.number | wc -l)" -eq "$(captured "$capture")"
}

configure_ipv6() {
	local machine

	cat >"$STATE/b1/balancer.yaml" <<-END
		interfaces: [eth0]
		report_key: $STATE/report.key
		services:
		  - name: web
		    address: "[2001:db8::64]:80"
		    backends: [{address: "$(address6 s1)"}, {address: "$(address6 s2)"}]
	END
	for machine in s1 s2; do
		cat >"$STATE/$machine/server.yaml" <<-END
			interfaces: [eth0]
			balancers: ["$(address6 b1)"]
			report_key: $STATE/report.key
			services: [{name: web, address: "[2001:db8::64]:80"}]
		END
	done
}

@test "likewise in IPv6" {
	local capture=$BATS_TEST_TMPDIR/lab6.pcap key

	key=$(<"$STATE/report.key")
	lab stop all
	enable_ipv6 c1 b1 s1 s2
	configure_ipv6
	lab start all
	listen_in_ipv6 2001:db8::64 s1 s2
	record_reports "$capture" 'ip6 and ip6[6] == 60' 'http://[2001:db8::64]/name?[1-40]'
	expect "$(read_capture "$capture" "$key" plimsoll.tag.state==1 frame.number | wc -l)" -eq "$(captured "$capture")"
	expect "$(read_capture "$capture" "$key" plimsoll plimsoll.server_id | sort -u | wc -l)" -eq 2
	expect "$(read_capture "$capture" "$key" 'plimsoll.connections_seen > 40 || plimsoll.wrong_length' frame.number)" = ''
	expect "$(read_capture "$capture" "$KEY" plimsoll.wrong_tag frame.number | wc -l)" -eq "$(captured "$capture")"
}
