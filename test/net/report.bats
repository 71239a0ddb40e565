#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Which packets bear reports, and what that must not do to their connections: neither usually, nor
# when carriers are lost, nor when a balancer goes away. Counted on the wires and at the client.

load helpers

setup_file() {
	open_lab clients=1 balancers=2 servers=1
	[ -n "${LAB:-}" ] || return 0
	lab nginx 4m
	lab wire start
}

teardown() {
	[ -n "${LAB:-}" ] || return 0
	end_client_programs
	inside switch nft delete table bridge loss 2>/dev/null || true
	ip -n "$(namespace switch)" link set b1 up
	reach_by b1
	lab stop all
}

# begin [ARGUMENTS OF lab config...]: with the first balancer only, which the client goes by.
begin() {
	lab config balancers=b1 "$@"
	lab start b1 s1
	reach_by b1
}

# reach_by MACHINE: where the client's packets to the VIP go.
reach_by() {
	ip -n "$(namespace c1)" neighbour replace "$LAB_VIP" lladdr "$(mac "$1")" dev eth0 nud permanent
}

# capture_sent [FILTER]: of tcpdump's.
capture_sent() {
	capture s1 eth0 "$BATS_TEST_TMPDIR/sent.pcap" -s 128 "src host $LAB_VIP and tcp $*" 3>&-
}

# capture_read: what has been sent, into the file "carriers".
capture_read() {
	capture_end "$BATS_TEST_TMPDIR/sent.pcap"
	python3 "$BATS_TEST_DIRNAME/carriers.py" "$BATS_TEST_TMPDIR/sent.pcap" | tee "$BATS_TEST_TMPDIR/carriers"
}

carriers() { # FILTER
	jq -r "$1" "$BATS_TEST_TMPDIR/carriers"
}

skipped() { # REASON
	show s1 ".carriers.\"$1\""
}

# lose PERCENT MATCH: of what crosses the switch and matches (nft), at random.
lose() {
	inside switch nft -f - <<-END
		add table bridge loss
		delete table bridge loss
		table bridge loss {
			chain forward {
				type filter hook forward priority 20
				$2 numgen random mod 100 < $1 drop
			}
		}
	END
}

of_client() { # COUNTER of nstat's
	inside c1 nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# ------------------------------------------------------------------- how many

@test "never closer than min_interval, and what bore none is counted by its reason" {
	local responses told

	begin min_interval=5ms max_share=10%
	capture_sent
	responses=$(wire .responses.packets)
	lab wrk duration=2 connections=16 path=/small
	wait_until 5 wire_is_quiet
	responses=$(($(wire .responses.packets) - responses))
	capture_read
	# Between two of each hundred the capture itself may have been late.
	holds "$(carriers .closest_ms) > 4.5"
	holds "$(carriers '.carriers - .seconds * 1000 / 5') <= 1"
	expect "$(carriers .carriers)" -gt 50
	told=$(show s1 '.carriers | add')
	echo "$responses responses, counted: $(show s1 .carriers)"
	expect "$told" -eq "$responses"
	expect "$(skipped stamped)" -eq "$(carriers .carriers)"
	run -0 lab show s1
	says 'not-due'
	says 'handshake'
}

@test "at most max_share of the packets, or 250 a second" {
	begin max_share=0.5%
	capture_sent
	lab wrk duration=2 connections=16 path=/small
	capture_read
	# Each CPU has a share of its own, and some of it saved up.
	holds "$(carriers '.carriers / ([.packets * 0.005, .seconds * 250] | max)') < 1.6"
	holds "$(carriers '.carriers / ([.packets * 0.005, .seconds * 250] | max)') > 0.5"
	expect "$(skipped budget)" -gt 10
}

# Requests on one connection: at each answer nothing is in flight any more, as at the one before.
@test "none where nothing has changed and max_interval has not passed" {
	local before started seconds

	begin
	fetch name
	sleep 0.2
	before=$(skipped stamped) started=$EPOCHREALTIME
	fetch 'name?[1-5000]' >/dev/null
	seconds=$(awk "BEGIN { print $EPOCHREALTIME - $started }")
	echo "$(($(skipped stamped) - before)) reports in $seconds s"
	holds "$(($(skipped stamped) - before)) <= $seconds * 10 + 3"
	expect "$(($(skipped stamped) - before))" -ge 1
	expect "$(skipped not-due)" -gt 4000
}

# ------------------------------------------------------------------- which

@test "no retransmission bears a report, however many there are" {
	begin
	capture_sent
	lose 5 "ip saddr $LAB_VIP ip hdrlength 5"
	lab wrk duration=4 connections=48 path=/10k
	capture_read
	expect "$(carriers .retransmissions)" -gt 10
	expect "$(carriers .carriers)" -gt 20
	expect "$(carriers .carriers_again)" -eq 0
	expect "$(skipped retransmission)" -gt 0
}

@test "packets that nobody waits for are taken first" {
	begin
	capture_sent
	lab wrk duration=2 connections=32 path=/10k
	capture_read
	expect "$(carriers .carriers)" -gt 20
	holds "$(carriers '((.kinds.fin // 0) + (.kinds.ack // 0)) / .carriers') > 0.7"
	expect "$(skipped payload)" -gt 0
	expect "$(skipped handshake)" -gt 0
}

# To the byte: test/packet/test_server.c.
@test "only packets that have room: whole, and with the option below the MTU" {
	begin key=yes
	capture_sent 'and ip[0] != 0x45'
	run -0 fetch_names 100
	expect "$(fetch 100m | checksum)" = "$(checksum_of 100m)"
	capture_read
	expect "$(carriers .carriers)" -gt 5
	expect "$(carriers .longest)" -le 1500
	expect "$(skipped segmented)" -gt 0
}

# ------------------------------------------------------------------- what it must not do

# disorder: segments of so many responses that came too early at the client, or had to be sent again.
disorder() {
	local queue again responses

	queue=$(of_client TcpExtTCPOFOQueue) again=$(retransmitted s1) responses=$(wire .responses.packets)
	lab wrk duration=2 connections=24 path=/10k >&2
	queue=$(($(of_client TcpExtTCPOFOQueue) - queue))
	again=$(($(retransmitted s1) - again))
	responses=$(($(wire .responses.packets) - responses))
	awk "BEGIN { print ($queue + $again) * 10000 / $responses }"
}

@test "the client sees no more disorder with reports than without" {
	local with without

	begin
	with=$(disorder)
	expect "$(skipped stamped)" -gt 50
	lab stop s1
	lab config balancers=
	lab start s1
	without=$(disorder)
	expect "$(skipped stamped)" -eq 0
	echo "out of order or sent again, of 10,000 packets: with reports $with, without $without"
	holds "$with < $without + 5"
}

# pending_during SECONDS: the mean of what the balancer believes to be under way.
pending_during() {
	local until=$((SECONDS + $1))

	while [ $SECONDS -lt "$until" ]; do
		backend s1 .pending
		sleep 0.05
	done | awk '{ sum += $1 } END { print sum / NR }'
}

# A connection more bears the next report.
pending_is_none() {
	fetch name >/dev/null
	[ "$(backend s1 .pending)" -eq 0 ]
}

# undrifted: of some 10,000 a second no more than a few are pending, no more as time goes, and none at
# the end. What never arrives is known after some reports.
undrifted() {
	local early late

	load_start duration=4 connections=24 path=/small
	sleep 1
	early=$(pending_during 1)
	late=$(pending_during 2)
	load_result .requests
	echo "pending: $early, then $late; carriers lost: $(($(skipped stamped) - $(backend s1 .reports)))"
	holds "$late < $early + 24 && $late < 48"
	inside switch nft delete table bridge loss
	lab wrk duration=3 connections=4 path=/small
	wait_until 5 pending_is_none || fail "pending is $(backend s1 .pending)"
}

@test "pending does not drift when 1 % of the carriers are lost, or 10 %" {
	local percent

	begin
	for percent in 1 10; do
		lose "$percent" 'ip hdrlength > 5'
		undrifted
	done
	expect "$(($(skipped stamped) - $(backend s1 .reports)))" -gt 10
}

@test "pending does not drift when SYNs are lost, whether they come again or not" {
	begin
	lose 2 "ip daddr $LAB_VIP oifname s1 tcp flags & (syn | ack) == syn"
	inside c1 python3 "$BATS_TEST_DIRNAME/flood.py" syn "$LAB_VIP:80" "$(mac b1)" 20000
	expect "$(backend s1 .connections)" -ge 15000
	undrifted
}

# ------------------------------------------------------------------- a balancer that goes away

last_of() { # FILE
	tcpdump -n -tt -r "$1" tcp 2>/dev/null | awk 'END { print $1 }'
}

# The other balancer takes over the clients' packets, as a router has it that no longer sees the first.
@test "a dead balancer gets no detours after 100 ms, and 1000 connections lose nothing" {
	local died steady=$BATS_TEST_TMPDIR/steady

	lab config
	lab start all
	reach_by b1
	inside c1 python3 "$BATS_TEST_DIRNAME/steady.py" "$LAB_VIP" 960 40 7 "$LAB_FILES/small" small \
		"$LAB_FILES/4m" 4m >"$steady" 2>&1 3>&- &
	echo $! >"$steady.pid"
	wait_until 30 grep -q started "$steady" || fail "$(cat "$steady")"
	capture s1 eth0 "$BATS_TEST_TMPDIR/sent.pcap" "ether src $(mac s1) and ether dst $(mac b1)" 3>&-
	sleep 1
	ip -n "$(namespace switch)" link set b1 down
	died=$(date +%s.%N) # or before: starting a program takes its time on a busy machine
	sleep 0.3
	reach_by b2
	wait_until 40 process_gone "$(cat "$steady.pid")"
	capture_end "$BATS_TEST_TMPDIR/sent.pcap"
	cat "$steady"
	echo "last detour $(awk "BEGIN { print ($(last_of "$BATS_TEST_TMPDIR/sent.pcap") - $died) * 1000 }") ms after the balancer's end"
	holds "$(last_of "$BATS_TEST_TMPDIR/sent.pcap") - $died < 0.1"
	expect "$(captured "$BATS_TEST_TMPDIR/sent.pcap")" -gt 5
	expect "$(tail -n 1 "$steady" | jq .lost)" -eq 0
	expect "$(tail -n 1 "$steady" | jq .answers)" -gt 1000
	expect "$(skipped silent-balancer)" -gt 0
	expect "$(show b2 .services[0].backends[0].reports)" -gt 0
}
