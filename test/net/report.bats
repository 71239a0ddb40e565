#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What reports must not do to the connections whose packets bear them, and that a server which
# resets draws nothing. Counted on the wires, by the switch and by tcpdump.

load helpers

setup_file() {
	open_lab clients=1 servers=3
	lab nginx
	lab wire start
}

teardown() {
	end_client_programs
	inside switch nft delete table netdev loss 2>/dev/null || true
	inside s1 nft delete table ip refusal 2>/dev/null || true
	ip -n "$(namespace switch)" link set b1 up
	ip -n "$(namespace c1)" neighbour flush dev eth0 nud permanent
	[ -n "$(pid_of "$STATE/s1/nginx.pid")" ] || lab nginx
	lab stop all
}

# only_server SERVER: all connections go to that one.
only_server() {
	lab config servers="$1"
}

# lose PERCENT INTERFACE: of what comes from that machine, or goes to it, is dropped by the switch.
lose() {
	inside switch nft -f - <<-END
		add table netdev loss
		add chain netdev loss arriving { type filter hook ingress device $2 priority 0; }
		add rule netdev loss arriving ip protocol tcp numgen random mod 100 < $1 drop
	END
}

carriers() { # FILTER
	python3 "$BATS_TEST_DIRNAME/carriers.py" "$BATS_TEST_TMPDIR/sent.pcap" |
		tee "$BATS_TEST_TMPDIR/carriers" | jq -r "$1"
}

of_client() { # COUNTER of nstat's
	inside c1 nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

@test "no retransmission bears a report, however many there are" {
	only_server s1
	lab start all
	capture s1 eth0 "$BATS_TEST_TMPDIR/sent.pcap" -s 96 "src host $LAB_VIP and tcp"
	lose 5 s1
	load_start duration=6 connections=48 path=/10k
	load_result .requests
	capture_end "$BATS_TEST_TMPDIR/sent.pcap"
	expect "$(carriers .retransmissions)" -gt 50
	cat "$BATS_TEST_TMPDIR/carriers"
	expect "$(carriers .carriers)" -gt 100
	expect "$(carriers .carriers_again)" -eq 0
	expect "$(show s1 .carriers.retransmission)" -gt 0
}

@test "packets that nobody waits for are taken first" {
	only_server s1
	lab start all
	capture s1 eth0 "$BATS_TEST_TMPDIR/sent.pcap" -s 96 "src host $LAB_VIP and tcp"
	load_start duration=3 connections=32 path=/10k
	load_result .requests
	capture_end "$BATS_TEST_TMPDIR/sent.pcap"
	expect "$(carriers .carriers)" -gt 100
	cat "$BATS_TEST_TMPDIR/carriers"
	holds "$(carriers '((.kinds.fin // 0) + (.kinds.ack // 0)) / .carriers') > 0.7"
}

# A balancer dies, and something finds the connections another way to their server.
@test "a dead balancer gets no detours after 100 ms, and 1000 connections lose nothing" {
	local died last

	only_server s1
	lab start all
	inside c1 python3 "$BATS_TEST_DIRNAME/steady.py" "$LAB_VIP" 1000 8 "$LAB_FILES/small" small \
		>"$BATS_TEST_TMPDIR/steady" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/steady.pid"
	wait_until 30 grep -q started "$BATS_TEST_TMPDIR/steady" || fail "$(cat "$BATS_TEST_TMPDIR/steady")"
	capture s1 eth0 "$BATS_TEST_TMPDIR/sent.pcap" "ether dst $(mac b1)"
	sleep 1
	ip -n "$(namespace switch)" link set b1 down
	died=$(date +%s.%N)
	ip -n "$(namespace c1)" neighbour replace "$LAB_VIP" lladdr "$(mac s1)" dev eth0 nud permanent
	wait_until 30 process_gone "$(cat "$BATS_TEST_TMPDIR/steady.pid")"
	capture_end "$BATS_TEST_TMPDIR/sent.pcap"
	last=$(tcpdump -n -tt -r "$BATS_TEST_TMPDIR/sent.pcap" tcp 2>/dev/null | awk 'END { print $1 }')
	cat "$BATS_TEST_TMPDIR/steady"
	echo "last detour $(awk "BEGIN { print ($last - $died) * 1000 }") ms after the balancer's end"
	holds "$last - $died < 0.1"
	expect "$(captured "$BATS_TEST_TMPDIR/sent.pcap")" -gt 10
	expect "$(tail -n 1 "$BATS_TEST_TMPDIR/steady" | jq .lost)" -eq 0
}

# disorder_of FEEDBACK: segments per 10,000 responses that came too early at the client, or twice.
disorder_of() { # [unreported]
	local queue again responses

	lab config servers=s1 feedback="$1" ${2:+balancers=}
	lab start all
	queue=$(of_client TcpExtTCPOFOQueue) again=$(retransmitted s1) responses=$(wire .responses.packets)
	load_start duration=3 connections=24 path=/10k
	load_result .requests >/dev/null
	queue=$(($(of_client TcpExtTCPOFOQueue) - queue))
	again=$(($(retransmitted s1) - again))
	responses=$(($(wire .responses.packets) - responses))
	lab stop all
	awk "BEGIN { print ($queue + $again) * 10000 / $responses }"
}

@test "the client sees no more disorder with reports than without" {
	local round with=0 without=0

	for round in 1 2 3; do
		with=$(awk "BEGIN { print $with + $(disorder_of in-band) }")
		without=$(awk "BEGIN { print $without + $(disorder_of none unreported) }")
	done
	echo "out of order or sent twice, of 30,000 packets: with reports $with, without $without"
	holds "$with < $without + 15"
}

# ------------------------------------------------------------------- sinkholes

@test "a server whose port is closed gets no more than its share" {
	local all

	lab config
	lab start all
	load_start duration=60 connections=24
	sleep 2
	kill "$(cat "$STATE/s1/nginx.pid")"
	sleep 1
	all=$(connections_during 3)
	echo "$all, penalty $(show s1 .load.penalty)"
	holds "$(share s1 "$all") < 0.333"
	expect "$(show s1 .load.resets)" -gt 0
	lab nginx
	wait_until 5 gets_its_share s1 || fail "after its return: $(connections_during 1)"
}

gets_its_share() {
	local share

	share=$(share "$1" "$(connections_during 1)")
	awk "BEGIN { exit !($share > 0.25) }"
}

@test "a server that refuses half of its connections gets no more than its share" {
	local all

	lab config
	lab start all
	inside s1 nft -f - <<-END
		add table ip refusal
		add chain ip refusal arriving { type filter hook input priority 0; }
		add rule ip refusal arriving tcp dport 80 tcp flags & (syn | ack) == syn numgen random mod 2 0 reject with tcp reset
	END
	load_start duration=60 connections=24
	sleep 2
	all=$(connections_during 3)
	echo "$all, penalty $(show s1 .load.penalty)"
	holds "$(share s1 "$all") < 0.333"
	holds "$(share s1 "$all") > 0"
	expect "$(show s1 .load.resets)" -gt 0
}
